"""Latencies and prices held against each other."""

from __future__ import annotations

import pytest

from autotune.jobs.device_choice import compare_devices, verdict
from autotune.jobs.status import DeviceStatus, Latency, ModelStatus


def device(name: str, price_per_hour: float | None) -> DeviceStatus:
    return DeviceStatus(
        name=name,
        connection=f"rpc://{name}",
        target="llvm",
        fingerprint=name,
        threads=1,
        facts={},
        price_per_hour=price_per_hour,
    )


def model(
    name: str, where: str, secs: float | None, needed_secs: float | None = None, spread: float = 0.0
) -> ModelStatus:
    return ModelStatus(
        name=name,
        device=f"rpc://{where}",
        needed_secs=needed_secs,
        before=None if secs is None else Latency(10 * secs, 10 * secs, 10 * secs, ()),
        after=None if secs is None else Latency(secs, secs - spread, secs + spread, ()),
    )


DEVICES = [device("pi", 0.02), device("server", 0.5), device("gpu", 3.6)]


def test_the_cheapest_device_that_is_fast_enough_is_chosen() -> None:
    found = compare_devices(
        [model("a", "pi", 0.1, 0.02), model("a", "server", 0.01, 0.02), model("a", "gpu", 0.001, 0.02)],
        DEVICES,
    )
    assert [(one.device, verdict(one)) for one in found] == [
        ("pi", "too slow"),
        ("gpu", "chosen"),
        ("server", "dearer or slower"),
    ]
    prices = {one.device: one.price_per_million for one in found}
    assert prices == pytest.approx({"pi": 0.1e6 * 0.02 / 3600, "server": 1e4 * 0.5 / 3600, "gpu": 1.0})


def test_without_a_need_the_cheapest_is_chosen_however_slow() -> None:
    found = compare_devices([model("a", "server", 0.01), model("a", "pi", 0.1)], DEVICES)
    assert [one.device for one in found if one.is_chosen] == ["pi"]


def test_the_upper_end_of_the_interval_has_to_be_fast_enough() -> None:
    sure, unsure = (
        compare_devices([model("a", "pi", 0.019, 0.02, spread)], DEVICES)[0] for spread in (0.0005, 0.002)
    )
    assert (sure.is_chosen, unsure.is_chosen) == (True, False)
    assert unsure.is_enough is False


def test_each_model_has_a_device_of_its_own_and_none_where_nothing_is_known() -> None:
    found = compare_devices(
        [model("a", "pi", 0.1), model("b", "pi", None), model("a", "server", None)], DEVICES
    )
    assert [(one.model, one.device, verdict(one)) for one in found] == [
        ("a", "pi", "chosen"),
        ("a", "server", "not known yet"),
        ("b", "pi", "not known yet"),
    ]


def test_devices_without_a_price_are_compared_by_latency() -> None:
    free = [device("pi", None), device("server", None)]
    found = compare_devices([model("a", "pi", 0.1), model("a", "server", 0.01)], free)
    assert [one.device for one in found if one.is_chosen] == ["server"]


def test_until_a_model_is_built_the_sum_of_its_tasks_counts() -> None:
    estimated = ModelStatus(name="a", device="rpc://pi", estimated_secs=0.05, needed_secs=0.06)
    [found] = compare_devices([estimated], DEVICES)
    assert (found.secs, found.is_measured, found.is_enough, found.is_chosen) == (0.05, False, True, True)
