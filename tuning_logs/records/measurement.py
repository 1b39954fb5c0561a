"""Measurements of trials: timings and failures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class FailureKind(StrEnum):
    """The cause of a failed trial."""

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
    slowdown: how many times slower than usual the machine was meanwhile, told by programs of known latency that took
              turns with this one; 1.0 where it was as usual.
    reference_slowdown: the same as the device's reference kernel told, where it was slow for no more than this trial;
              1.0 where the device was steady. It says which times not to trust; they are not corrected by it, because
              one short kernel is too noisy for that.
    """

    run_secs: tuple[float, ...]
    build_secs: float
    censored: bool = False
    slowdown: float = 1.0
    reference_slowdown: float = 1.0

    @property
    def is_steady(self) -> bool:
        """Whether the device was as fast as usual, or it is known how much slower it was."""
        return self.reference_slowdown == 1.0

    @property
    def usual_secs(self) -> tuple[float, ...]:
        """The repeats divided by the slowdown of the machine."""
        if self.slowdown == 1.0:
            return self.run_secs
        return tuple(secs / self.slowdown for secs in self.run_secs)

    @property
    def secs(self) -> float:
        """The latency to compare by: the median of the repeats, divided by the slowdown of the machine."""
        return statistics.median(self.usual_secs)

    @classmethod
    def pooled(cls, timings: Sequence[Timing]) -> Timing:
        """The last of several timings of one program, with the repeats of all of them."""
        run_secs = tuple(secs for timing in timings for secs in timing.usual_secs)
        reference_slowdown = min(timing.reference_slowdown for timing in timings)
        return replace(timings[-1], run_secs=run_secs, slowdown=1.0, reference_slowdown=reference_slowdown)


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate that did not run, or ran wrong: a value, not an exception.

    ended_process: whether the trial ended its worker process or session. Known where it was measured only: a log does
                   not hold it, and it does not tell failures apart.
    """

    kind: FailureKind
    message: str
    build_secs: float = 0.0
    ended_process: bool = field(default=False, compare=False)


Measurement = Timing | Failure


def is_device_lost(measurement: Measurement) -> bool:
    """Whether the device went away meanwhile: that tells nothing of the candidate."""
    return isinstance(measurement, Failure) and measurement.kind is FailureKind.DEVICE_LOST


@dataclass(frozen=True, slots=True)
class Check:
    """The largest deviations of a candidate's outputs from the untuned operator's on the same inputs."""

    max_abs_error: float
    max_rel_error: float
