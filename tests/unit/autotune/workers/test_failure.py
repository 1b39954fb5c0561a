"""Faults of worker processes as failures of candidates: their kinds, and which of them ended a process."""

from __future__ import annotations

import signal

import pytest

from autotune.workers.failure import failure_of
from autotune.workers.reply import Died, Fault, OverMemory, Raised, TimedOut
from tuning_logs import Failure, FailureKind


@pytest.mark.parametrize(
    ("fault", "kind", "ended_process"),
    [
        (Raised("ValueError: unhappy", 1.0), FailureKind.BUILD_ERROR, False),
        (Raised("the process is fine", 1.0), FailureKind.BUILD_ERROR, False),
        (Raised("InternalError: std::bad_alloc", 1.0), FailureKind.OUT_OF_MEMORY, False),
        (Raised("MemoryError", 1.0), FailureKind.OUT_OF_MEMORY, False),
        (Raised("OSError: [Errno 12] Cannot allocate memory: 'cc'", 1.0), FailureKind.OUT_OF_MEMORY, False),
        (
            Raised("RuntimeError: cc could not link: ld: memory exhausted", 1.0),
            FailureKind.OUT_OF_MEMORY,
            False,
        ),
        (Raised("cannot allocate memory in static TLS block", 1.0), FailureKind.BUILD_ERROR, False),
        (Died(-signal.SIGABRT, "LLVM ERROR: out of memory", 1.0), FailureKind.OUT_OF_MEMORY, True),
        (Died(7, "last words", 1.0), FailureKind.BUILD_ERROR, True),
        (Died(-signal.SIGSEGV, "", 1.0), FailureKind.BUILD_ERROR, True),
        (Died(-signal.SIGKILL, "", 1.0), FailureKind.OUT_OF_MEMORY, True),
        (OverMemory(3 << 20, 2 << 20, 1.0), FailureKind.OUT_OF_MEMORY, True),
        (TimedOut(2.0, 2.1), FailureKind.BUILD_TIMEOUT, True),
    ],
)
def test_a_fault_has_one_kind_and_tells_whether_it_ended_a_process(
    fault: Fault, kind: FailureKind, ended_process: bool
) -> None:
    failure = failure_of(fault, 0.5, FailureKind.BUILD_TIMEOUT, FailureKind.BUILD_ERROR)
    assert (failure.kind, failure.message, failure.build_secs) == (kind, fault.message, 0.5)
    assert failure.ended_process is ended_process


def test_failures_are_equal_whether_or_not_it_is_known_how_the_process_fared() -> None:
    live = Failure(FailureKind.RUN_ERROR, "", ended_process=True)
    assert live == Failure(FailureKind.RUN_ERROR, "")
