"""Verdicts with the throughput of capacity studies."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from comparison_fixtures import make_comparison, make_row

from autotune.comparison.capacity_rates import read_capacity, serving_rates
from autotune.comparison.limits import Limits, ServingRate
from autotune.comparison.verdict import verdict
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.load_point import LoadPoint
from autotune.throughput.load_run import End
from autotune.throughput.quantiles import Quantile
from autotune.throughput.serving_setup import ServingSetup
from search_spaces import Misuse

SETUP = ServingSetup(2, 1, 1)


def point(load: float, p99_secs: float, end: End = End.FINISHED) -> LoadPoint:
    """A run at a load; the median is a third of the 99th percentile."""
    p50, p90, p99 = (Quantile(p99_secs * share, p99_secs * share, None) for share in (1 / 3, 2 / 3, 1.0))
    return LoadPoint(SETUP, load, 1000, end, True, True, p50, p90, p99, 1.0, 0.0, 0.0, 0.0, 0.0)


def study(model: str = "net.so", connection: str = "local", held: float = 100.0) -> CapacityResult:
    """A study for 30 ms that surely holds a load."""
    curve = (point(50.0, 0.009), point(100.0, 0.024), point(120.0, 0.03), point(140.0, 0.09, End.EXCEEDED))
    return CapacityResult(
        *(model, "a processor", connection, 2, 0.03, SETUP, held, 120.0, 140.0, 130.0, None, 0.0, None),
        curve,
        curve,
        (),
        0.0,
        60.0,
    )


def test_the_largest_load_that_holds_the_limit_counts() -> None:
    comparison = make_comparison([make_row("autotune", [0.010])])

    def rate(limits: Limits) -> tuple[float, float | None]:
        [found] = serving_rates(comparison, [study()], limits)
        assert (found.model, found.device, found.engine) == ("net", "local", "autotune")
        return found.throughput_per_second, found.latency_secs

    assert rate(Limits()) == (100.0, 0.024)
    assert rate(Limits(latency_secs=0.010)) == (50.0, 0.009)
    # None is fast enough: the verdict says by how much.
    assert rate(Limits(latency_secs=0.001)) == (100.0, 0.024)
    assert rate(Limits(latency_secs=0.010, percentile=50.0)) == (100.0, pytest.approx(0.008))
    [nothing] = serving_rates(comparison, [study(held=0.0)], Limits())
    assert nothing == ServingRate("net", "local", "autotune", 0.0)


def test_a_price_is_that_of_the_load() -> None:
    comparison = make_comparison([make_row("autotune", [0.010])], {"local": 0.36})
    limits = Limits(latency_secs=0.030, dollars_per_million=1.5)
    [option] = (
        verdict(comparison, limits, rates=serving_rates(comparison, [study()], limits)).models[0].holding
    )
    assert option.dollars_per_million == pytest.approx(1.0)
    dearer = verdict(comparison, limits, {"local": 0.72}, serving_rates(comparison, [study()], limits))
    [miss] = dearer.models[0].missing[0].misses
    assert miss.by == pytest.approx(0.5)


def test_a_study_of_what_was_not_compared_is_refused(tmp_path: Path) -> None:
    comparison = make_comparison([make_row("autotune", [0.010]), make_row("onnxruntime", [0.010])])
    for other in (study("other.so"), study(connection="local?threads=1")):
        with pytest.raises(Misuse, match="net on local"):
            serving_rates(comparison, [other], Limits())
    path = tmp_path / "capacity.json"
    path.write_bytes(msgspec.json.encode(study()))
    assert read_capacity(path) == study()
    path.write_text("{}")
    with pytest.raises(Misuse, match="none"):
        read_capacity(path)
