"""A step of a job, as its engine yields it."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.jobs.device_run import DeviceRun
from tuning_logs import TuningRecord


@dataclass(frozen=True)
class JobRound:
    """A step of a job: new records of a device, already in the log, or the start of another activity."""

    activity: str
    run: DeviceRun | None = None
    records: tuple[TuningRecord, ...] = ()
