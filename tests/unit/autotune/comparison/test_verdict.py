"""The verdict: who holds the limits, in which order, and by how much the others miss."""

from __future__ import annotations

import math

import pytest
from comparison_fixtures import make_comparison, make_row
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples
from msgspec.structs import replace

from autotune.comparison.limits import Limits, ServingRate
from autotune.comparison.result import Comparison, Row
from autotune.comparison.verdict import DeploymentVerdict, Limit, Option, verdict
from search_spaces import Misuse

SECS = st.floats(1e-5, 1.0)
PRICES = st.floats(1e-3, 100.0)
LIMIT = st.none() | st.floats(1e-4, 1e4)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    devices = draw(st.lists(st.sampled_from(["local", "pi4", "cloud"]), min_size=1, unique=True))
    rows = [
        replace(
            make_row(engine, draw(st.lists(SECS, min_size=1, max_size=4)), model=model, device=device),
            mistake=draw(st.sampled_from([None, None, None, "output 0 is off"])),
        )
        for model in ("a", "b")
        for device in devices
        for engine in ("autotune", "onnxruntime")
    ]
    rows[0] = Row("a", devices[0], "autotune", reason="it does not build")
    return make_comparison(rows, {name: draw(st.none() | PRICES) for name in devices})


limits = st.builds(Limits, LIMIT, LIMIT, LIMIT, st.sampled_from([50.0, 90.0, 99.0]))


def places(found: DeploymentVerdict) -> set[tuple[str, str, str]]:
    return {(one.model, one.device, one.engine) for each in found.models for one in each.holding}


@examples(100)
@given(comparisons(), limits)
def test_every_row_is_held_or_missed_for_a_reason(comparison: Comparison, given_limits: Limits) -> None:
    found = verdict(comparison, given_limits)
    options = [one for each in found.models for one in (*each.holding, *each.missing)]
    assert sorted((one.model, one.device, one.engine) for one in options) == sorted(
        (row.model, row.device, row.engine) for row in comparison.rows
    )
    for each in found.models:
        assert all(not one.misses and one.reason is None for one in each.holding)
        assert all(one.misses or one.reason for one in each.missing)
        wrong = {row.engine for row in comparison.rows if row.mistake and row.model == each.model}
        assert all(one.reason for one in each.missing if one.engine in wrong and not one.misses)


@examples(100)
@given(comparisons(), limits, st.floats(1.0, 100.0), st.sampled_from(list(Limit)))
def test_a_looser_limit_removes_no_row(
    comparison: Comparison, given_limits: Limits, factor: float, limit: Limit
) -> None:
    value = getattr(given_limits, limit.value)
    held = places(verdict(comparison, given_limits))
    assert held <= places(verdict(comparison, replace(given_limits, **{limit.value: None})))
    if value is not None:
        looser = value / factor if limit is Limit.THROUGHPUT else value * factor
        assert held <= places(verdict(comparison, replace(given_limits, **{limit.value: looser})))


@examples(100)
@given(comparisons(), limits)
def test_those_that_hold_are_in_the_order_of_their_cost(comparison: Comparison, given_limits: Limits) -> None:
    for each in verdict(comparison, given_limits).models:
        costs = [
            math.inf if one.dollars_per_million is None else one.dollars_per_million for one in each.holding
        ]
        assert costs == sorted(costs)


@examples(100)
@given(comparisons(), limits)
def test_a_miss_is_the_distance_from_the_limit(comparison: Comparison, given_limits: Limits) -> None:
    for each in verdict(comparison, given_limits).models:
        for option in each.missing:
            for miss in option.misses:
                assert miss.found == getattr(option, miss.limit.value)
                assert miss.allowed == getattr(given_limits, miss.limit.value)
                assert miss.by == abs(miss.found - miss.allowed) > 0.0
                assert miss.share == miss.by / miss.allowed


@examples(50)
@given(comparisons(), limits, PRICES)
def test_a_price_changes_costs_in_proportion_and_nothing_else(
    comparison: Comparison, given_limits: Limits, price: float
) -> None:
    names = [one.name for one in comparison.devices]
    once = verdict(comparison, given_limits, dict.fromkeys(names, price))
    twice = verdict(comparison, given_limits, dict.fromkeys(names, 2 * price))

    def costs(found: DeploymentVerdict) -> dict[tuple[str, str, str], Option]:
        options = (one for each in found.models for one in (*each.holding, *each.missing))
        return {(one.model, one.device, one.engine): one for one in options}

    for place, option in costs(once).items():
        other = costs(twice)[place]
        assert (option.latency_secs, option.throughput_per_second) == (
            other.latency_secs,
            other.throughput_per_second,
        )
        if option.dollars_per_million is not None:
            assert other.dollars_per_million == pytest.approx(2 * option.dollars_per_million)


def test_the_numbers_of_one_verdict() -> None:
    rows = [make_row("autotune", [0.010] * 9 + [0.030]), make_row("onnxruntime", [0.020] * 10)]
    found = verdict(make_comparison(rows, {"local": 0.36}), Limits(0.025, 60.0, 1.9, percentile=99.0))
    [model] = found.models
    # p99 of autotune lies between the last two runs; its mean is 12 ms, 83.3 a second, $1.2 a million.
    by_name = {one.engine: one for one in model.missing}
    [late] = by_name["autotune"].misses
    assert late.limit is Limit.LATENCY
    assert late.by == pytest.approx(0.0282 - 0.025)
    assert late.share == pytest.approx(0.128)
    assert by_name["autotune"].dollars_per_million == pytest.approx(1.2)
    slow, dear = by_name["onnxruntime"].misses
    assert (slow.limit, slow.by, slow.share) == (Limit.THROUGHPUT, pytest.approx(10.0), pytest.approx(1 / 6))
    assert (dear.limit, dear.by) == (Limit.DOLLARS, pytest.approx(0.1))


def test_the_percentile_of_the_latency_is_the_users() -> None:
    comparison = make_comparison([make_row("autotune", [0.010] * 9 + [0.030])])
    assert not places(verdict(comparison, Limits(latency_secs=0.02)))
    assert places(verdict(comparison, Limits(latency_secs=0.02, percentile=50.0)))


def test_a_rate_from_elsewhere_takes_the_place_of_one_run_after_the_other() -> None:
    comparison = make_comparison([make_row("autotune", [0.010])], {"local": 0.36})
    limits = Limits(throughput_per_second=150.0)
    assert not places(verdict(comparison, limits))
    rate = ServingRate("net", "local", "autotune", 200.0, latency_secs=0.018)
    [option] = verdict(comparison, limits, rates=[rate]).models[0].holding
    assert option.throughput_per_second == 200.0
    assert option.latency_secs == 0.018
    assert option.dollars_per_million == pytest.approx(0.5)
    nothing = verdict(comparison, Limits(), rates=[replace(rate, throughput_per_second=0.0)])
    assert nothing.models[0].missing[0].reason == "no load is known that it holds"


def test_a_device_without_a_price_cannot_hold_a_limit_of_cost() -> None:
    comparison = make_comparison([make_row("autotune", [0.010])])
    [option] = verdict(comparison, Limits(dollars_per_million=1e9)).models[0].missing
    assert option.reason == "the price per hour of local is not known"
    assert places(verdict(comparison, Limits(dollars_per_million=1e9), {"local": 0.1}))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_are_none_are_refused(bad: float) -> None:
    comparison = make_comparison([make_row("autotune", [0.010])])
    for name in ("latency_secs", "throughput_per_second", "dollars_per_million"):
        with pytest.raises(Misuse, match="finite and positive"):
            Limits(**{name: bad})
    with pytest.raises(Misuse, match=r"price per hour of local.*found"):
        verdict(comparison, Limits(), {"local": bad})
    with pytest.raises(Misuse, match="price per hour of local"):
        verdict(make_comparison(comparison.rows, {"local": bad}), Limits())
    with pytest.raises(Misuse, match="percentile"):
        Limits(percentile=bad if bad else 100.0)
    if bad:
        with pytest.raises(Misuse, match="throughput"):
            ServingRate("net", "local", "autotune", bad)


def test_prices_and_rates_of_what_was_not_compared_are_refused() -> None:
    comparison = make_comparison([make_row("autotune", [0.010])])
    with pytest.raises(Misuse, match=r"compared: local; found 'pi4'"):
        verdict(comparison, Limits(), {"pi4": 1.0})
    with pytest.raises(Misuse, match="net, local, ncnn"):
        verdict(comparison, Limits(), rates=[ServingRate("net", "local", "ncnn", 1.0)])
