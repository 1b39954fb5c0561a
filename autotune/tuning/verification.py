"""Measures again what a log says is fastest, and holds the two against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device
from autotune.runners.drift import DriftMonitor
from autotune.runners.factory import open_builder, open_runner
from autotune.runners.runner import Runner
from search_spaces import IllegalSchedule, Misuse
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Failure, FailureKind, Measurement, RecordStore, Timing, TuningRecord
from tuning_logs.selection.difference import is_beyond_noise
from tuning_logs.selection.ranking import ranked

# Two measurements of one program may differ by this much on a quiet machine.
_NOISE = 0.05


class VerificationResult(StrEnum):
    """What became of a recorded time; `holds`: within what repeats scatter, or within a twentieth."""

    HOLDS = "holds"
    FASTER = "faster"
    SLOWER = "slower"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verification:
    """A record, with the repeats of all records of its config, and what was measured now."""

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
        """What became of the recorded time."""
        if self.drift is None:
            return VerificationResult.FAILED
        now = TuningRecord(
            self.record.task,
            self.record.device,
            self.record.space_version,
            self.record.config,
            self.measured,
            None,
            self.record.provenance,
        )
        if self.drift > 1 + _NOISE and is_beyond_noise(self.record, now):
            return VerificationResult.SLOWER
        return (
            VerificationResult.FASTER
            if self.drift < 1 - _NOISE and is_beyond_noise(now, self.record)
            else VerificationResult.HOLDS
        )


def verified(log: RecordStore, device: Device, top: int = 1) -> Iterator[Verification]:
    """Measures the best `top` configs of each task that the log has for the device, task by task.

    Each is checked against the untuned operator's outputs, as in tuning. Raises Misuse where the log has no record
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
            f"only of these devices: {known}"
        )
    with open_builder(device) as builder, open_runner(device, DriftMonitor()) as runner:
        for task, records in chosen.items():
            yield from _remeasured(TensorIRSpace(task), records, builder, runner)


def _remeasured(
    space: TensorIRSpace, records: list[TuningRecord], builder: LocalBuilder, runner: Runner
) -> Iterator[Verification]:
    candidates, measured = [space.apply(space.default)], {}
    for record in records:
        try:
            if record.space_version != space.version:
                raise IllegalSchedule(
                    f"it was recorded for search space {record.space_version}, now {space.version}"
                )
            if record.config != space.default:
                candidates.append(space.apply(record.config))
        except IllegalSchedule as reason:
            measured[record.config] = Failure(FailureKind.BUILD_ERROR, str(reason))
    built = builder.build(candidates)
    outcomes = iter(runner.run([each for each in built if not isinstance(each, Failure)]))
    now: dict[object, Measurement] = {
        candidate.config: each if isinstance(each, Failure) else next(outcomes).measurement
        for candidate, each in zip(candidates, built, strict=True)
    }
    for record in records:
        yield Verification(record, measured.get(record.config) or now[record.config])
