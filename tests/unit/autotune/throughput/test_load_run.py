"""Open-loop load on callers that sleep: the schedule, coordinated omission, batches, and runs that are lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from autotune.throughput.load_run import Caller, End, LoadRun, StopRule, offer_load
from autotune.throughput.serving_setup import BatchPolicy

PATIENT = StopRule(10.0, 10**6)


def pause(secs: float) -> bool:
    """A call that is answered after so long."""
    time.sleep(secs)
    return True


def offered(caller: Caller, arrivals: list[float], rule: StopRule = PATIENT, most: int = 1) -> LoadRun:
    """A run with one caller."""
    with ThreadPoolExecutor(1) as executor:
        return offer_load([(executor, caller)], np.array(arrivals), BatchPolicy(most), rule)


def test_latencies_count_from_the_schedule_and_not_from_the_call() -> None:
    stalled = iter([0.2])
    run = offered(lambda _: pause(next(stalled, 0.0)), [0.01 * number for number in range(11)])
    assert len(run.latencies) == 11
    assert run.end is End.FINISHED
    # Whoever arrived during the stall has waited for its end.
    expected = 0.2 - 0.01 * np.arange(11)
    assert np.all(run.latencies >= expected - 1e-3)
    assert run.latencies[5] > 0.14


def test_nothing_is_sent_before_its_time() -> None:
    sent: list[float] = []
    started = time.perf_counter()

    def call(_: int) -> bool:
        sent.append(time.perf_counter() - started)
        return True

    offered(call, [0.0, 0.05, 0.1])
    assert np.all(np.diff(sent) > 0.04)


def test_requests_that_wait_go_together() -> None:
    sizes: list[int] = []

    def call(count: int) -> bool:
        sizes.append(count)
        return pause(0.05)

    run = offered(call, [0.0, 0.001, 0.002, 0.003, 0.004], most=3)
    assert sizes == [1, 3, 1]
    assert run.calls == 3
    assert run.mean_batch == pytest.approx(5 / 3)


def test_a_run_with_too_many_slow_requests_ends_early() -> None:
    run = offered(lambda _: pause(0.02), [0.05 * number for number in range(200)], StopRule(0.01, 3))
    assert run.end is End.EXCEEDED
    assert len(run.latencies) == 4
    assert run.secs < 2.0


def test_a_queue_that_stands_ends_a_run() -> None:
    arrivals = [0.0001 * number for number in range(1000)]
    run = offered(lambda _: pause(0.004), arrivals, StopRule(0.02, 10**6))
    assert run.end is End.OVERLOADED
    assert 40 < len(run.latencies) < 200


def test_the_fault_of_a_caller_ends_the_run_and_is_raised() -> None:
    def fail(_: int) -> bool:
        raise ValueError("the model does not run")

    with pytest.raises(ValueError, match="does not run"):
        offered(fail, [0.0, 0.1, 0.2])


def test_a_request_that_is_refused_is_never_within_a_limit() -> None:
    answers = iter([True, False, True])
    run = offered(lambda _: next(answers), [0.0, 0.01, 0.02])
    assert np.isinf(run.latencies).tolist() == [False, True, False]
