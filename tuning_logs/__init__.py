"""What have we seen? Measurements, the records they are part of, and the log that keeps them."""

from tuning_logs.address import open_log, read_log
from tuning_logs.contents import Damage
from tuning_logs.device_fingerprint import DeviceFingerprint
from tuning_logs.gpu_resources import GpuResources
from tuning_logs.log import TuningLog
from tuning_logs.measurement import Check, Failure, FailureKind, Measurement, Timing
from tuning_logs.record import Job, Provenance, TuningRecord
from tuning_logs.record_store import RecordStore

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
