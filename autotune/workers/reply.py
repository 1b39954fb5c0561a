"""Replies to a call that a worker process was handed: its result, or the fault that ended it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

# Signals that the system or a person sends, and that no broken kernel dies of.
_OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Returned:
    """The call returned a value. secs, here and in the faults: wall time of the call, by the parent's clock."""

    value: Any
    secs: float


@dataclass(frozen=True, slots=True)
class Raised:
    """The call raised a Python exception; the process lives on."""

    message: str
    secs: float


@dataclass(frozen=True, slots=True)
class Died:
    """The process ended during the call. returncode: an exit status, or a signal's number, negated."""

    returncode: int
    stderr_tail: str
    secs: float

    @property
    def from_outside(self) -> bool:
        """Whether its signal is one that another process sends."""
        return -self.returncode in _OUTSIDE_SIGNALS

    @property
    def message(self) -> str:
        """The exit status or signal, and the end of stdout and stderr."""
        if self.returncode < 0:
            how = f"the process was killed by {signal.Signals(-self.returncode).name}"
        else:
            how = f"the process exited with status {self.returncode}"
        return f"{how}: {self.stderr_tail}" if self.stderr_tail else how


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The call exceeded its time limit, and the process was killed."""

    timeout_secs: float
    secs: float

    @property
    def message(self) -> str:
        """The limit that was exceeded."""
        return f"the process was killed after more than {self.timeout_secs:g} s"


@dataclass(frozen=True, slots=True)
class OverMemory:
    """The process exceeded its memory limit, and was killed."""

    used_bytes: int
    limit_bytes: int
    secs: float

    @property
    def message(self) -> str:
        """The memory held, and the limit that it exceeded."""
        used, limit = self.used_bytes >> 20, self.limit_bytes >> 20
        return f"the process was killed at {used} MiB of memory, where {limit} MiB are its share"


#: Faults that end the process: here, and of a session on a board.
ProcessEnd = Died | OverMemory | TimedOut
Fault = Raised | ProcessEnd
Reply = Returned | Fault
