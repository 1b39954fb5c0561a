"""Tables of records without a log: tasks whose speed depends on two features, in the same way or not quite."""

import numpy as np

from cost_models.record_table import RecordTable, TaskOnDevice
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.records.device_fingerprint import DeviceFingerprint

WIDTH = 6


def task_on_device(
    number: int, device: str = "cpu", networks: tuple[str, ...] = ("net",), weight: int = 1
) -> TaskOnDevice:
    workload = Workload(f"{number:032x}", f"task_{number}", "", 1.0)
    fingerprint = DeviceFingerprint(device, {"isa": device, "threads": 2})
    return TaskOnDevice(TuningTask(workload, Target("llvm"), weight), fingerprint, networks)


def table(
    tasks: int = 8, rows: int = 40, best: float = 0.3, device: str = "cpu", seed: int = 0, first: int = 0
) -> RecordTable:
    """Configs are the faster the nearer their first feature is to `best`; a tenth fail."""
    rng = np.random.default_rng(seed)
    features = rng.random((tasks * rows, WIDTH)).astype(np.float32)
    groups = np.repeat(np.arange(tasks), rows)
    secs = (1 + groups) * 1e-3 * np.exp(3 * np.abs(features[:, 0] - best) + 0.5 * features[:, 1])
    secs[features[:, 2] > 0.9] = np.inf
    facts = tuple(
        task_on_device(first + number, device, (f"net{number % 3}",), 1 + number % 2)
        for number in range(tasks)
    )
    return RecordTable(features, secs, groups, facts, (("made-up.jsonl", "0" * 64),))
