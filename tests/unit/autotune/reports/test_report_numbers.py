"""Axes, improvements, verdicts and convergence: the numbers behind a report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from literal_texts import literal_status
from msgspec.structs import replace

from autotune.jobs.model_builds import latency
from autotune.jobs.status import JobStatus
from autotune.reports.axis import linear_axis, log_axis
from autotune.reports.convergence import convergence
from autotune.reports.report import Curve
from autotune.reports.verdict import Change, model_verdicts
from autotune.testing.records import make_record
from tuning_logs import Failure, FailureKind, Timing, TuningLog
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.selection.improvements import improvements_of

POSITIVE = st.floats(1e-7, 1e7)


@given(st.lists(POSITIVE, min_size=1))
def test_ticks_are_round_few_and_on_the_axis(values: list[float]) -> None:
    for axis in (linear_axis("x", values), log_axis("x", values)):
        ticks = axis.ticks()
        assert 1 <= len(ticks) <= 8
        assert ticks == sorted(set(ticks))
        assert all(axis.low * 0.999 <= one <= axis.high * 1.001 for one in ticks)
        assert all(0.0 <= axis.place(one) <= 1.0 for one in [*values, *ticks])


def test_a_single_value_and_none_have_an_axis() -> None:
    assert linear_axis("x", []).ticks()[0] == 0.0
    assert linear_axis("x", [0.0]).place(0.0) == 0.0
    assert 0.4 < log_axis("x", [3.0]).place(3.0) < 0.6


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.floats(1e-6, 1.0)), max_size=20))
def test_improvements_are_the_same_by_records_and_by_rows(
    tmp_path_factory: pytest.TempPathFactory, trials: list[tuple[int, float | None]]
) -> None:
    failure = Failure(FailureKind.RUN_ERROR, "x")
    records = [
        make_record(n, tile=(tile, 1), measurement=Timing((secs,), 0.1) if secs else failure)
        for n, (tile, secs) in enumerate(trials)
    ]
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append(records)
    followed = FollowedLog.follow(path)
    followed.catch_up(1 << 20)
    found = [list(one.improvements) for one in followed.summaries().values()]
    assert found == ([improvements_of(records)] if records else [])


def with_runs(before: list[float], after: list[float]) -> JobStatus:
    status = literal_status()
    model = replace(status.models[0], before=latency(before), after=latency(after))
    return replace(status, models=(model,))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([0.02, 0.021, 0.0205] * 10, [0.01, 0.011, 0.0102] * 10, Change.FASTER),
        ([0.01, 0.011, 0.0102] * 10, [0.02, 0.021, 0.0205] * 10, Change.SLOWER),
        ([0.01, 0.011, 0.0102] * 10, [0.011, 0.01, 0.0102] * 10, Change.UNCLEAR),
        ([0.01] * 9, [0.02] * 10, Change.SLOWER),
    ],
)
def test_a_verdict_is_sure_only_beyond_its_interval(
    before: list[float], after: list[float], change: Change
) -> None:
    [verdict] = model_verdicts(with_runs(before, after))
    assert verdict.change is change
    assert verdict.low is not None and verdict.high is not None and verdict.factor is not None
    assert verdict.low <= verdict.high
    assert (verdict.low > 1) == (change is Change.FASTER)


def test_a_verdict_on_what_was_not_measured_is_an_estimate_or_none() -> None:
    status = literal_status()
    model = replace(status.models[0], after=None)
    [verdict] = model_verdicts(replace(status, models=(model,)))
    assert (verdict.change, verdict.factor) == (Change.ESTIMATED, 2.0)
    [verdict] = model_verdicts(replace(status, models=(replace(model, estimated_secs=None),)))
    assert (verdict.change, verdict.factor) == (Change.UNKNOWN, None)


def test_convergence_tells_when_the_gain_was_reached_and_what_the_end_brought() -> None:
    points = ((0.0, 8.0), (10.0, 4.0), (20.0, 1.0), (90.0, 0.999), (100.0, 0.999))
    found = convergence(Curve("m", "d", points))
    assert (found.secs, found.nearly_all_secs, found.last_secs) == (100.0, 20.0, 25.0)
    assert found.factor == pytest.approx(8.0, rel=0.01)
    assert found.has_converged
    falling = convergence(Curve("m", "d", ((0.0, 8.0), (50.0, 4.0), (90.0, 2.0), (100.0, 2.0))))
    assert falling.last_gain == pytest.approx(0.5)
    assert not falling.has_converged
    assert convergence(Curve("m", "d", ((0.0, 8.0), (0.0, 8.0)))).factor == 1.0
