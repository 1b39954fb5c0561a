"""Conversion of the fault that ended a trial's call, here or on a board, to the candidate's failure."""

from __future__ import annotations

from autotune.workers.memory_shortage import is_memory_shortage
from autotune.workers.reply import Died, Fault, OverMemory, Raised, TimedOut
from tuning_logs.records.measurement import Failure, FailureKind


def failure_of(fault: Fault, build_secs: float, timeout: FailureKind, error: FailureKind) -> Failure:
    """Converts a fault; timeout: the kind for a time limit, error: the kind for everything without one of its own."""
    match fault:
        case TimedOut():
            kind = timeout
        # Twice killed from outside: so the system ends a process that takes too much of its memory.
        case OverMemory() | Died(from_outside=True):
            kind = FailureKind.OUT_OF_MEMORY
        case Raised() | Died() if is_memory_shortage(fault.message):
            kind = FailureKind.OUT_OF_MEMORY
        case _:
            kind = error
    return Failure(kind, fault.message, build_secs, ended_process=not isinstance(fault, Raised))
