"""An ML-driven autotuner for tensor programs: everything that users need, in one place.

What is imported from here is loaded then: TVM takes most of a second, which the command line's help does without.
The names and their types are in the stub beside this file.
"""

from importlib import import_module
from typing import Any

_PLACES = {
    "autotune.budget": ["Budget"],
    "autotune.collection": ["Collection"],
    "autotune.compilation": ["Build", "compile"],
    "autotune.device": ["Device", "local_device", "parse_device"],
    "autotune.executable": ["load"],
    "autotune.job": ["TuningJob"],
    "autotune.lowering": ["lower"],
    "autotune.model": ["Model", "load_model"],
    "autotune.operators": ["operator_task"],
    "autotune.samplers": ["SamplerKind", "sampler_factory"],
    "autotune.tasks": ["extract_tasks"],
    "autotune.tuner": ["Tuner"],
    "search_spaces": [
        "AutotuneError",
        "Config",
        "IllegalSchedule",
        "Misuse",
        "Target",
        "TuningTask",
        "Workload",
    ],
    "search_spaces.modules": ["tvm_target"],
    "tuning_logs": [
        "Failure",
        "FailureKind",
        "RecordStore",
        "Timing",
        "TuningLog",
        "TuningRecord",
        "open_log",
    ],
    "tuning_logs.metaschedule_database": ["database"],
    "tuning_logs.schedule_choice": ["OtherDevices"],
}
_HOMES = {name: place for place, names in _PLACES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
