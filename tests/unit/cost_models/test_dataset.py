"""Scores compare within a task, a target and a device, and only there."""

import numpy as np
import pytest

from cost_models.dataset import Dataset
from cost_models.scores import scores_within
from search_spaces.config import Config
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.workload import Workload
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure, FailureKind, Timing
from tuning_logs.records.record import Job, Provenance, TuningRecord

PROVENANCE = Provenance(Job("job", 0, "random", "2026-01-01T00:00:00Z"), 0, "2026-01-01T00:00:00Z")


def record(task: str, secs: float | None, target: str = "llvm", cores: int = 1) -> TuningRecord:
    measurement = Failure(FailureKind.RUN_ERROR, "it fell over") if secs is None else Timing((secs,), 0.1)
    return TuningRecord(
        TuningTask(Workload(task, task, "", 0.0), Target(target)),
        DeviceFingerprint("device", {"cores": cores}),
        "1",
        Config((("tile", 1),)),
        measurement,
        None,
        PROVENANCE,
    )


def features(rows: int) -> np.ndarray:
    return np.zeros((rows, 2), dtype=np.float32)


def dataset_of(records: list[TuningRecord], features: np.ndarray) -> Dataset:
    """Scores the records of each task, target and device against the fastest among them."""
    numbers: dict[tuple[str, str, str], int] = {}
    groups = np.array(
        [numbers.setdefault(one.comparable_key, len(numbers)) for one in records], dtype=np.int64
    )
    secs = np.array([one.secs for one in records], dtype=np.float64)
    return Dataset(features, scores_within(secs, groups), groups)


def test_the_fastest_of_each_group_scores_one_and_failures_score_nothing() -> None:
    records = [record("a", 2.0), record("b", 1.0), record("a", 4.0), record("a", None)]
    dataset = dataset_of(records, features(4))
    assert dataset.scores.tolist() == [1.0, 1.0, 0.5, 0.0]
    assert dataset.groups.tolist() == [0, 1, 0, 0]


def test_targets_and_devices_are_groups_of_their_own() -> None:
    records = [record("a", 1.0), record("a", 2.0, target="cuda"), record("a", 4.0, cores=2)]
    dataset = dataset_of(records, features(3))
    assert dataset.scores.tolist() == [1.0, 1.0, 1.0]
    assert len(set(dataset.groups.tolist())) == 3


def test_a_group_in_which_nothing_ran_scores_nothing() -> None:
    assert dataset_of([record("a", None), record("a", None)], features(2)).scores.tolist() == [
        0.0,
        0.0,
    ]


def test_no_records_make_an_empty_dataset() -> None:
    assert len(dataset_of([], features(0))) == 0


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(Misuse, match="matrix"):
        Dataset(np.zeros(3, dtype=np.float32), np.zeros(3), np.zeros(3, dtype=np.int64))
    with pytest.raises(Misuse, match="one score and one group"):
        Dataset(features(3), np.zeros(3), np.zeros(2, dtype=np.int64))
