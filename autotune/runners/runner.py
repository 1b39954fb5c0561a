"""Running artifacts on a device: one at a time, checked against the untuned program, timed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autotune.builders.artifact import Artifact
from autotune.workers.failure import failure_of
from autotune.workers.reply import Fault
from search_spaces.errors import AutotuneError
from tuning_logs.records.measurement import Check, Failure, FailureKind, Measurement, Timing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an artifact, and how right its outputs were; check is None where nothing was compared."""

    measurement: Measurement
    check: Check | None


class Runner(Protocol):
    """Measures artifacts on one device."""

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """One outcome for each artifact, in their order; best_secs: the best latency of their task so far."""
        ...

    def close(self) -> None:
        """Ends processes and deletes files."""
        ...


def unchecked(references: Mapping[str, Failure | None], artifact: Artifact) -> Failure | None:
    """The failure of a candidate that there is nothing to compare with, None where there is, or it is a reference.

    references: for each task whose untuned program was measured, how that failed, if it did. Raises AutotuneError
    where the candidate's was not.
    """
    if artifact.is_reference:
        return None
    key = artifact.task.key
    if key not in references:
        raise AutotuneError(
            f"expected the default config of {artifact.task.name!r} to be measured before others, "
            f"found config {artifact.config.key}; measure the default first"
        )
    reference = references[key]
    if reference is None:
        return None
    message = f"it cannot be checked, because the untuned program failed: {reference.message}"
    return Failure(reference.kind, message, artifact.build_secs)


def best_times(
    artifacts: Sequence[Artifact], outcomes: Mapping[int, Outcome], best_secs: float
) -> dict[str, float]:
    """For each task, the best of best_secs and what was measured of it; outcomes by place among the artifacts."""
    best = {artifact.task.key: best_secs for artifact in artifacts}
    for place, outcome in outcomes.items():
        note_best(best, artifacts[place], outcome)
    return best


def failed(artifact: Artifact, fault: Fault) -> Outcome:
    """The outcome of a trial whose call ended in a fault."""
    failure = failure_of(fault, artifact.build_secs, FailureKind.RUN_TIMEOUT, FailureKind.RUN_ERROR)
    return Outcome(failure, None)


def note_best(best: dict[str, float], artifact: Artifact, outcome: Outcome) -> None:
    if isinstance(outcome.measurement, Timing):
        key = artifact.task.key
        best[key] = min(best.get(key, math.inf), outcome.measurement.secs)
