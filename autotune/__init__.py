"""An ML-driven autotuner for tensor programs: everything that users need, in one place.

What is imported from here is loaded then: TVM takes most of a second, which the command line's help does without.
The names and their types are in the stub beside this file.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

_PLACES = {
    "autotune.tuning.budget": ["Budget"],
    "autotune.tuning.collection": ["Collection"],
    "autotune.comparison.capacity_rates": ["read_capacity", "serving_rates"],
    "autotune.comparison.comparison": ["ComparisonSettings", "compare"],
    "autotune.comparison.limits": ["Limits", "ServingRate"],
    "autotune.comparison.result": ["Comparison"],
    "autotune.comparison.result_file": ["read_comparison", "write_comparison"],
    "autotune.comparison.subject": ["ModelFile"],
    "autotune.comparison.verdict": ["DeploymentVerdict", "verdict"],
    "autotune.deployment.compilation": ["Build", "compile"],
    "autotune.deployment.preflight": ["Preflight", "check"],
    "autotune.devices.device": ["Device", "local_device"],
    "autotune.devices.device_url": ["parse_device"],
    "autotune.deployment.executable": ["load"],
    "autotune.deployment.kernel_pool": ["CallPlace"],
    "autotune.deployment.shape_dispatch": ["DynamicExecutable"],
    "autotune.deployment.shape_planning": ["load_dynamic_model"],
    "autotune.jobs.job_file": ["JobRequest", "ModelRequest", "read_job_file"],
    "autotune.jobs.plan": ["JobPlan", "plan_job"],
    "autotune.jobs.run": ["JobResult", "open_job", "run_job"],
    "autotune.service.client": ["Client"],
    "autotune.service.documents": ["JobOrder", "ModelOrder", "Needs"],
    "autotune.tuning.tuning_job": ["TuningJob"],
    "autotune.models.dynamic_model": ["DynamicModel"],
    "autotune.models.lowering": ["lower"],
    "autotune.models.model": ["Model", "load_model"],
    "autotune.models.operators": ["operator_task"],
    "autotune.models.torch_module": ["from_torch"],
    "autotune.packaging.archive": ["Archive"],
    "autotune.packaging.assembly": ["package"],
    "autotune.packaging.server_package": ["ServerPackage"],
    "autotune.packaging.wheel": ["Wheel"],
    "autotune.search.cost_model_sampler": ["CostModelSampler"],
    "autotune.search.samplers": ["SamplerKind", "sampler_factory"],
    "autotune.models.shape_plan": ["ShapePlan"],
    "autotune.models.size_range": ["SizeRange"],
    "autotune.models.task_extraction": ["extract_tasks"],
    "autotune.throughput.capacity": ["CapacityOptions", "capacity"],
    "autotune.throughput.capacity_result": ["CapacityResult"],
    "autotune.throughput.load_point": ["LoadPoint"],
    "autotune.throughput.serving_setup": ["ServingSetup"],
    "autotune.tuning.tuner": ["Tuner"],
    "search_spaces": [
        "AutotuneError",
        "Config",
        "IllegalSchedule",
        "Misuse",
        "Target",
        "TuningTask",
        "Workload",
    ],
    "search_spaces.tensor_ir.modules": ["tvm_target"],
    "tuning_logs": [
        "Failure",
        "FailureKind",
        "RecordStore",
        "Timing",
        "TuningLog",
        "TuningRecord",
        "open_log",
    ],
    "tuning_logs.exchange.metaschedule_database": ["database"],
    "tuning_logs.selection.schedule_choice": ["OtherDevices"],
}
_HOMES = {name: place for place, names in _PLACES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _interrupts_deferred():
        hook = sys.excepthook
        try:
            found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        finally:
            # TVM's hook, set when it loads, terminates the program's other processes after any exception.
            sys.excepthook = hook
    return found


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Puts Ctrl-C off: packages whose import was interrupted cannot be imported again."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def __dir__() -> list[str]:
    return __all__
