"""Verification of a log: the fastest schedules measured again, and compared with the recorded times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autotune.devices.device import Device
from autotune.runners.factory import open_builder, open_runner, watch_threads
from autotune.runners.steady_runner import SteadyRunner
from autotune.tuning.provenance import new_job
from autotune.tuning.trial_recorder import TrialRecorder
from search_spaces import Candidate, Config, IllegalSchedule, Misuse, SearchSpace, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Failure, FailureKind, Measurement, RecordStore, Timing, TuningRecord
from tuning_logs.selection.ranking import ranked
from tuning_logs.selection.significance import is_beyond_noise

# Two measurements of one program may differ by this much on a quiet machine.
_NOISE = 0.05
# The sampler's name in the provenance of the new records, which are not kept.
_VERIFICATION = "verification"


class VerificationResult(StrEnum):
    """The outcome of a verification; `holds`: within the noise of the repeats, or within a twentieth."""

    HOLDS = "holds"
    FASTER = "faster"
    SLOWER = "slower"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verification:
    """A record, with the repeats of all records of its config, and its new measurement."""

    record: TuningRecord
    measured: Measurement

    @property
    def secs(self) -> float:
        """The latency now in seconds, infinite for a failure."""
        return self.measured.secs if isinstance(self.measured, Timing) else float("inf")

    @property
    def drift(self) -> float | None:
        """Now over then: 1.1 is a tenth slower; None for a failure."""
        return self.secs / self.record.secs if isinstance(self.measured, Timing) else None

    @property
    def verdict(self) -> VerificationResult:
        """The comparison of the new latency with the recorded one."""
        if self.drift is None:
            return VerificationResult.FAILED
        now, recorded = self.measured, self.record.measurement
        if self.drift > 1 + _NOISE and is_beyond_noise(recorded, now):
            return VerificationResult.SLOWER
        if self.drift < 1 - _NOISE and is_beyond_noise(now, recorded):
            return VerificationResult.FASTER
        return VerificationResult.HOLDS


def verified(
    log: RecordStore, device: Device, top: int = 1, warn: Callable[[str], None] | None = None
) -> Iterator[Verification]:
    """Measures the best `top` configs of each task that the log has for the device, task by task.

    Each is checked against the untuned operator's outputs, as in tuning. warn: told where the device's threads lose
    against one, which spoils the times. Raises Misuse where the log has no record
    that ran on this very device for its target.
    """
    tasks = [
        each.task
        for each in log.trial_counts()
        if each.device.key == device.fingerprint.key and each.task.target == device.target
    ]
    chosen = {task: records for task in tasks if (records := ranked(log, task, device.fingerprint, top))}
    if not chosen:
        known = ", ".join(f"{each.key} ({each.name})" for each in log.devices()) or "none"
        raise Misuse(
            f"expected records that ran on this device, {device.fingerprint.key}, for {device.target}; found none, "
            f"only of these devices: {known}",
            code="AT211",
        )
    yield from measured_again(chosen, device, warn)


def measured_again(
    chosen: Mapping[TuningTask, Sequence[TuningRecord]],
    device: Device,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Verification]:
    """Measures records again, task by task; see `verified`."""
    spaces = {task: TensorIRSpace(task) for task in chosen}
    versions = {task: space.version for task, space in spaces.items()}
    recorder = TrialRecorder(device, new_job(0, _VERIFICATION), versions)
    with open_builder(device) as builder, open_runner(device) as opened:
        runner, watch = SteadyRunner(opened), watch_threads(device, opened, time.monotonic)
        for task, records in chosen.items():
            space = spaces[task]
            candidates, gone = _candidates(space, records)
            # Outputs are compared with the untuned program's, so that one runs first.
            measured = recorder.measure([space.apply(space.default), *candidates], builder, runner)
            now = {each.config: each.measurement for each in measured} | gone
            yield from (Verification(record, now[record.config]) for record in records)
        if watch and warn:
            watch.look()
            if watch.warning:
                warn(watch.warning)


def _candidates(
    space: SearchSpace, records: Sequence[TuningRecord]
) -> tuple[list[Candidate], dict[Config, Measurement]]:
    """The records' schedules but the default one, and a failure for each that the space does not have any more."""
    candidates, gone = [], dict[Config, Measurement]()
    for record in records:
        try:
            if record.space_version != space.version:
                raise IllegalSchedule(
                    f"it was recorded for search space {record.space_version}, now {space.version}"
                )
            if record.config != space.default:
                candidates.append(space.apply(record.config))
        except IllegalSchedule as reason:
            gone[record.config] = Failure(FailureKind.BUILD_ERROR, str(reason))
    return candidates, gone
