"""What comes back when a worker process is handed a call."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

# Signals that a machine or a person sends from outside, not what a broken kernel dies of.
_OUTSIDE_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Answer:
    """The call returned. secs, here and in the other replies: how long it took, as the parent saw it."""

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
        """Whether somebody else killed the process, as far as its signal tells."""
        return -self.returncode in _OUTSIDE_SIGNALS

    @property
    def message(self) -> str:
        """How it ended, and the last it wrote."""
        if self.returncode < 0:
            how = f"the process was killed by {signal.Signals(-self.returncode).name}"
        else:
            how = f"the process exited with status {self.returncode}"
        return f"{how}: {self.stderr_tail}" if self.stderr_tail else how


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The call took longer than it was given, and was killed."""

    timeout_secs: float
    secs: float

    @property
    def message(self) -> str:
        """The limit that it hit."""
        return f"the process was killed after more than {self.timeout_secs:g} s"


@dataclass(frozen=True, slots=True)
class OverMemory:
    """The process grew beyond its share of memory, and was killed."""

    used_bytes: int
    limit_bytes: int
    secs: float

    @property
    def message(self) -> str:
        """The limit that it hit."""
        used, limit = self.used_bytes >> 20, self.limit_bytes >> 20
        return f"the process was killed at {used} MiB of memory, where {limit} MiB are its share"


Fault = Raised | Died | TimedOut | OverMemory
Reply = Answer | Fault
