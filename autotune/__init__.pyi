from autotune.deployment.compilation import Build, compile
from autotune.deployment.executable import load
from autotune.deployment.kernel_pool import CallPlace
from autotune.deployment.preflight import Preflight, check
from autotune.deployment.shape_dispatch import DynamicExecutable
from autotune.deployment.shape_planning import load_dynamic_model
from autotune.devices.device import Device, local_device, parse_device
from autotune.jobs.job_file import JobRequest, ModelRequest, read_job_file
from autotune.jobs.plan import JobPlan, plan_job
from autotune.jobs.run import JobResult, open_job, run_job
from autotune.models.dynamic_model import DynamicModel
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.operators import operator_task
from autotune.models.shape_plan import ShapePlan
from autotune.models.size_range import SizeRange
from autotune.models.task_extraction import extract_tasks
from autotune.models.torch_module import from_torch
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.service.client import Client
from autotune.service.documents import JobOrder, ModelOrder, Needs
from autotune.tuning.budget import Budget
from autotune.tuning.collection import Collection
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import AutotuneError, Config, IllegalSchedule, Misuse, Target, TuningTask, Workload
from search_spaces.tensor_ir.modules import tvm_target
from tuning_logs import Failure, FailureKind, RecordStore, Timing, TuningLog, TuningRecord, open_log
from tuning_logs.exchange.metaschedule_database import database
from tuning_logs.selection.schedule_choice import OtherDevices

__all__ = [
    "AutotuneError",
    "Budget",
    "Build",
    "CallPlace",
    "Client",
    "Collection",
    "Config",
    "CostModelSampler",
    "Device",
    "DynamicExecutable",
    "DynamicModel",
    "Failure",
    "FailureKind",
    "IllegalSchedule",
    "JobOrder",
    "JobPlan",
    "JobRequest",
    "JobResult",
    "Misuse",
    "Model",
    "ModelOrder",
    "ModelRequest",
    "Needs",
    "OtherDevices",
    "Preflight",
    "RecordStore",
    "SamplerKind",
    "ShapePlan",
    "SizeRange",
    "Target",
    "Timing",
    "Tuner",
    "TuningJob",
    "TuningLog",
    "TuningRecord",
    "TuningTask",
    "Workload",
    "check",
    "compile",
    "database",
    "extract_tasks",
    "from_torch",
    "load",
    "load_dynamic_model",
    "load_model",
    "local_device",
    "lower",
    "open_job",
    "open_log",
    "operator_task",
    "parse_device",
    "plan_job",
    "read_job_file",
    "run_job",
    "sampler_factory",
    "tvm_target",
]
