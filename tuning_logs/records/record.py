"""One trial as it happened: the line of a tuning log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.config import Config
from search_spaces.task import TuningTask
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.gpu_resources import GpuResources
from tuning_logs.records.measurement import Check, Measurement, Timing

#: A task's key and its target's text: the weight differs from model to model, and does not tell tasks apart.
TaskKey = tuple[str, str]


def key_of(task: TuningTask) -> TaskKey:
    """The key of a task in a log."""
    return (task.key, str(task.target))


@dataclass(frozen=True)
class Job:
    """The run of the tuner that a record comes from; written once per job, shared by its records.

    started is UTC in ISO 8601. versions maps package names to the versions that took part.
    """

    id: str
    seed: int
    sampler: str
    started: str
    versions: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a record: its job, its number within the job (from 0), and the UTC time."""

    job: Job
    trial: int
    time: str


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """A task on a device, a config, and what was measured.

    trace: the candidate's, by which the config can be replayed in another version of the space; None where it has none
    and where the log has lost it. gpu: what the kernel takes of a GPU, None for other devices.
    """

    task: TuningTask
    device: DeviceFingerprint
    space_version: str
    config: Config
    measurement: Measurement
    check: Check | None
    provenance: Provenance
    trace: str | None = None
    gpu: GpuResources | None = None

    @property
    def comparable_key(self) -> tuple[str, str, str]:
        """Workload, target and device: records that have all three in common compare with one another."""
        return self.task.key, str(self.task.target), self.device.key

    @property
    def secs(self) -> float:
        """The measured latency in seconds, infinite for a failure."""
        return self.measurement.secs if isinstance(self.measurement, Timing) else float("inf")
