"""Tasks whose untuned programs have run, which other candidates are checked against."""

from __future__ import annotations

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome
from search_spaces.errors import AutotuneError
from tuning_logs.records.measurement import Failure, is_device_lost


class References:
    """The outcome of each task's untuned program, whose outputs the task's other candidates are compared with."""

    def __init__(self) -> None:
        self._failures: dict[str, Failure | None] = {}

    def note(self, artifact: Artifact, outcome: Outcome) -> None:
        """Remembers the outcome of an untuned program; other artifacts do not matter.

        Outputs once stored stay good, even if the program fails when it is measured again.
        """
        measurement = outcome.measurement
        if not artifact.is_reference or is_device_lost(measurement):
            return
        if self._failures.get(artifact.task.key, measurement) is not None:
            self._failures[artifact.task.key] = measurement if isinstance(measurement, Failure) else None

    def unchecked(self, artifact: Artifact) -> Failure | None:
        """The failure of a candidate whose untuned program failed; None where it can be compared, or is that program.

        Raises AutotuneError where the untuned program was never measured.
        """
        if artifact.is_reference:
            return None
        key = artifact.task.key
        if key not in self._failures:
            raise AutotuneError(
                f"expected the default config of {artifact.task.name!r} to be measured before others, "
                f"found config {artifact.config.key}; measure the default first",
                code="AT603",
            )
        reference = self._failures[key]
        if reference is None:
            return None
        message = f"it cannot be checked, because the untuned program failed: {reference.message}"
        return Failure(reference.kind, message, artifact.build_secs)
