"""Tuning logs: measurements, the records that they are part of, and the stores of records."""

from tuning_logs.address import open_log, read_log
from tuning_logs.file.log import TuningLog
from tuning_logs.record_store import RecordStore
from tuning_logs.records.damage import Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.gpu_resources import GpuResources
from tuning_logs.records.measurement import Check, Failure, FailureKind, Measurement, Timing
from tuning_logs.records.record import Job, Provenance, TuningRecord

__all__ = [
    "Check",
    "Damage",
    "DeviceFingerprint",
    "Failure",
    "FailureKind",
    "GpuResources",
    "Job",
    "Measurement",
    "Provenance",
    "RecordStore",
    "Timing",
    "TuningLog",
    "TuningRecord",
    "open_log",
    "read_log",
]
