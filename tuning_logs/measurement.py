"""What came out of one trial: how long the candidate takes, or how it failed."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """What a candidate, or its device, did wrong."""

    BUILD_ERROR = "build_error"
    BUILD_TIMEOUT = "build_timeout"
    RUN_ERROR = "run_error"
    RUN_TIMEOUT = "run_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG_RESULT = "wrong_result"
    DEVICE_LOST = "device_lost"


@dataclass(frozen=True, slots=True)
class Timing:
    """A candidate that ran: every repeat (seconds per call, in the order taken), and what compiling it took.

    censored: measuring stopped early because the candidate was far slower than the best; the times are true, but few.
    """

    run_secs: tuple[float, ...]
    build_secs: float
    censored: bool = False

    @property
    def secs(self) -> float:
        """The latency to compare by: the median of the repeats."""
        return statistics.median(self.run_secs)


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate that did not run, or ran wrong: a value, not an exception."""

    kind: FailureKind
    message: str
    build_secs: float = 0.0


Measurement = Timing | Failure


@dataclass(frozen=True, slots=True)
class Check:
    """How far a candidate's outputs were from the untuned operator's on the same inputs."""

    max_abs_error: float
    max_rel_error: float
