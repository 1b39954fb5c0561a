from autotune.comparison.capacity_rates import read_capacity, serving_rates
from autotune.comparison.comparison import ComparisonSettings, compare
from autotune.comparison.limits import Limits, ServingRate
from autotune.comparison.result import Comparison
from autotune.comparison.result_file import read_comparison, write_comparison
from autotune.comparison.subject import ModelFile
from autotune.comparison.verdict import DeploymentVerdict, verdict
from autotune.deployment.compilation import Build, compile
from autotune.deployment.executable import load
from autotune.deployment.kernel_pool import CallPlace
from autotune.deployment.preflight import Preflight, check
from autotune.deployment.shape_dispatch import DynamicExecutable
from autotune.deployment.shape_planning import load_dynamic_model
from autotune.devices.device import Device, local_device
from autotune.devices.device_url import parse_device
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
from autotune.packaging.archive import Archive
from autotune.packaging.assembly import package
from autotune.packaging.server_package import ServerPackage
from autotune.packaging.wheel import Wheel
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.service.client import Client
from autotune.service.documents import JobOrder, ModelOrder, Needs
from autotune.throughput.capacity import CapacityOptions, capacity
from autotune.throughput.capacity_result import CapacityResult
from autotune.throughput.load_point import LoadPoint
from autotune.throughput.serving_setup import ServingSetup
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
    "Archive",
    "AutotuneError",
    "Budget",
    "Build",
    "CallPlace",
    "CapacityOptions",
    "CapacityResult",
    "Client",
    "Collection",
    "Comparison",
    "ComparisonSettings",
    "Config",
    "CostModelSampler",
    "DeploymentVerdict",
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
    "Limits",
    "LoadPoint",
    "Misuse",
    "Model",
    "ModelFile",
    "ModelOrder",
    "ModelRequest",
    "Needs",
    "OtherDevices",
    "Preflight",
    "RecordStore",
    "SamplerKind",
    "ServerPackage",
    "ServingRate",
    "ServingSetup",
    "ShapePlan",
    "SizeRange",
    "Target",
    "Timing",
    "Tuner",
    "TuningJob",
    "TuningLog",
    "TuningRecord",
    "TuningTask",
    "Wheel",
    "Workload",
    "capacity",
    "check",
    "compare",
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
    "package",
    "parse_device",
    "plan_job",
    "read_capacity",
    "read_comparison",
    "read_job_file",
    "run_job",
    "sampler_factory",
    "serving_rates",
    "tvm_target",
    "verdict",
    "write_comparison",
]
