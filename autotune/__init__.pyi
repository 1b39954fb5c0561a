from autotune.budget import Budget
from autotune.collection import Collection
from autotune.compilation import Build, compile
from autotune.device import Device, local_device, parse_device
from autotune.executable import load
from autotune.job import TuningJob
from autotune.lowering import lower
from autotune.model import Model, load_model
from autotune.operators import operator_task
from autotune.samplers import SamplerKind, sampler_factory
from autotune.tasks import extract_tasks
from autotune.tuner import Tuner
from search_spaces import AutotuneError, Config, IllegalSchedule, Misuse, Target, TuningTask, Workload
from search_spaces.modules import tvm_target
from tuning_logs import Failure, FailureKind, RecordStore, Timing, TuningLog, TuningRecord, open_log
from tuning_logs.metaschedule_database import database
from tuning_logs.schedule_choice import OtherDevices

__all__ = [
    "AutotuneError",
    "Budget",
    "Build",
    "Collection",
    "Config",
    "Device",
    "Failure",
    "FailureKind",
    "IllegalSchedule",
    "Misuse",
    "Model",
    "OtherDevices",
    "RecordStore",
    "SamplerKind",
    "Target",
    "Timing",
    "Tuner",
    "TuningJob",
    "TuningLog",
    "TuningRecord",
    "TuningTask",
    "Workload",
    "compile",
    "database",
    "extract_tasks",
    "load",
    "load_model",
    "local_device",
    "lower",
    "open_log",
    "operator_task",
    "parse_device",
    "sampler_factory",
    "tvm_target",
]
