"""Trials as records of a tuning log: candidates are built, run and recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from autotune.builders.artifact import Artifact, discard
from autotune.builders.builder import Builder
from autotune.devices.device import Device
from autotune.runners.drift import is_steady
from autotune.runners.runner import Outcome, Runner
from autotune.tuning.provenance import utc_now
from search_spaces import Candidate, TuningTask
from tuning_logs import Failure, GpuResources, Job, Measurement, Provenance, TuningRecord
from tuning_logs.records.measurement import is_device_lost

# The largest slowdown that a log takes.
_MOST_SLOWDOWN = 1e3


class TrialRecorder:
    """Measures candidates, and numbers the records of one run on one device.

    versions: the version of each task's search space; read when a record is made.
    """

    def __init__(self, device: Device, job: Job, versions: Mapping[TuningTask, str]) -> None:
        self._device = device
        self._job = job
        self._versions = versions
        self._recorded = 0

    def measure(
        self,
        candidates: Sequence[Candidate],
        builder: Builder,
        runner: Runner,
        best_secs: float = math.inf,
    ) -> list[TuningRecord]:
        """Builds in parallel, then runs; one record per candidate, in order."""
        built = builder.build(candidates)
        try:
            outcomes = runner.run([one for one in built if isinstance(one, Artifact)], best_secs)
        finally:
            discard(built)
        return self.records(candidates, built, outcomes)

    def records(
        self,
        candidates: Sequence[Candidate],
        built: Sequence[Artifact | Failure | None],
        found: Sequence[Outcome],
    ) -> list[TuningRecord]:
        """The next records: of all candidates but those that were not built in time, in order.

        found: the outcomes of the artifacts among what was built.
        """
        outcomes = iter(found)
        return [
            self.record(candidate, Outcome(one, None))
            if isinstance(one, Failure)
            else self.record(candidate, next(outcomes), one.gpu)
            for candidate, one in zip(candidates, built, strict=True)
            if one is not None
        ]

    def record(self, candidate: Candidate, outcome: Outcome, gpu: GpuResources | None = None) -> TuningRecord:
        """The next record; gpu: the GPU resources of the compiled kernel."""
        number = self._recorded
        self._recorded += 1
        return TuningRecord(
            task=candidate.task,
            device=self._device.fingerprint,
            space_version=self._versions[candidate.task],
            config=candidate.config,
            measurement=_measurement(outcome),
            check=outcome.check,
            provenance=Provenance(self._job, number, utc_now()),
            trace=candidate.trace,
            gpu=gpu,
        )


def _measurement(outcome: Outcome) -> Measurement:
    """The outcome's measurement, marked where its device was slow, since a job that is resumed has to know."""
    if isinstance(outcome.measurement, Failure) or is_steady(outcome.slowdown):
        return outcome.measurement
    return replace(outcome.measurement, reference_slowdown=min(outcome.slowdown, _MOST_SLOWDOWN))


def without_lost_devices(records: Sequence[TuningRecord]) -> list[TuningRecord]:
    """All records but those of lost devices, which tell nothing of their candidates."""
    return [record for record in records if not is_device_lost(record.measurement)]
