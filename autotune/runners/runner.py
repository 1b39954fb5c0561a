"""The interface of runners, which measure compiled candidates on a device, and what they have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from autotune.builders.artifact import Artifact
from autotune.workers.failure import failure_of
from autotune.workers.reply import Fault
from tuning_logs.records.measurement import Check, FailureKind, Measurement, Timing


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a trial.

    check:    the errors of its outputs, None where nothing was compared;
    slowdown: how many times slower than usual the device was meanwhile, by its reference kernel; 1.0 where none is
              timed.
    """

    measurement: Measurement
    check: Check | None
    slowdown: float = 1.0


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """Limits of a trial.

    timeout_secs:           of one candidate, checks and repeats together, on a board the way there as well;
    reference_timeout_secs: of the untuned program, which on GPUs may be a thousand times slower;
    memory_bytes:           of the worker process: here by default half of what this process may use, for boards 4 GiB.
    """

    timeout_secs: float = 10.0
    reference_timeout_secs: float = 300.0
    memory_bytes: int | None = None

    def secs_for(self, artifact: Artifact) -> float:
        """The time limit of an artifact."""
        return self.reference_timeout_secs if artifact.is_reference else self.timeout_secs


class Runner(Protocol):
    """Measures artifacts on one device."""

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """One outcome for each artifact, in their order; best_secs: the best latency of their task so far.

        The untuned program of a task is measured before its other candidates, whose outputs are held against its own.
        """
        ...

    def close(self) -> None:
        """Ends processes and deletes files."""
        ...


@runtime_checkable
class Overlapping(Protocol):
    """Runners that several threads may call at once."""

    @property
    def overlaps(self) -> bool:
        """Whether devices that one batch leaves free measure the next, and neither disturbs what is compiled."""
        ...


@runtime_checkable
class Noticing(Protocol):
    """Builders and runners that have something to tell the user of their workers, boards or devices."""

    @property
    def notices(self) -> list[str]:
        """A sentence of each that is not at work, and why."""
        ...


def best_times(
    artifacts: Sequence[Artifact], outcomes: Mapping[int, Outcome], best_secs: float
) -> dict[str, float]:
    """For each task, the best of best_secs and what was measured of it; outcomes by place among the artifacts."""
    best = {artifact.task.key: best_secs for artifact in artifacts}
    for place, outcome in outcomes.items():
        note_best(best, artifacts[place], outcome)
    return best


def note_best(best: dict[str, float], artifact: Artifact, outcome: Outcome) -> None:
    """Lowers the best latency of an artifact's task, by its key, where the outcome is better."""
    if isinstance(outcome.measurement, Timing):
        key = artifact.task.key
        best[key] = min(best.get(key, math.inf), outcome.measurement.secs)


def failed(artifact: Artifact, fault: Fault) -> Outcome:
    """The outcome of a trial whose call ended in a fault."""
    failure = failure_of(fault, artifact.build_secs, FailureKind.RUN_TIMEOUT, FailureKind.RUN_ERROR)
    return Outcome(failure, None)
