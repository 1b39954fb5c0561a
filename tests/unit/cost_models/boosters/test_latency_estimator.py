"""Seconds of tuned tasks, learned from made-up machines whose speed is known."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import Misuse, Target, TuningTask, Workload
from tuning_logs import DeviceFingerprint

if find_spec("tvm") is None:
    pytest.skip("features of programs need TVM", allow_module_level=True)

from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.features.program_features import COLUMNS
from cost_models.record_table import RecordTable, TaskOnDevice

FLOPS, BYTES, VECTOR = COLUMNS.index("flops"), COLUMNS.index("operator_bytes"), 0
DEVICE = DeviceFingerprint("made up", {"isa": "x86_64", "threads": 2})
TARGET = Target.parse("llvm -num-cores=2")


def machine_secs(flops: float, moved: float, is_vectorised: bool) -> float:
    """100 GFLOP/s, 10 GB/s, 2 µs to start; a tenth of the speed without vectors."""
    return flops / (1e11 if is_vectorised else 1e10) + moved / 1e10 + 2e-6


def table(networks: int, tasks: int, seed: int = 0, failing: int = 0) -> RecordTable:
    """Each task with eight configs of different speed; `failing` tasks of which none ran."""
    rng = np.random.default_rng(seed)
    rows, secs, groups, facts = [], [], [], []
    for number in range(networks * tasks):
        flops, moved = 10 ** rng.uniform(6, 9.5), 10 ** rng.uniform(4, 7)
        workload = Workload(f"{number:032x}", f"task{number}", "", flops)
        facts.append(TaskOnDevice(TuningTask(workload, TARGET), DEVICE, (f"net{number % networks}",)))
        vectorised = bool(rng.random() < 0.7)
        for slowdown in 1 + 0.1 * np.arange(8):
            row = np.full(len(COLUMNS), np.nan, dtype=np.float32)
            row[[FLOPS, BYTES, VECTOR]] = np.log2(flops), np.log2(moved), vectorised
            rows.append(row)
            ran = number >= failing
            secs.append(slowdown * machine_secs(flops, moved, vectorised) if ran else np.inf)
            groups.append(number)
    return RecordTable(np.array(rows), np.array(secs), np.array(groups), tuple(facts), ())


@pytest.fixture(scope="module")
def estimator() -> LatencyEstimator:
    """Learned from four networks of twenty tasks."""
    return LatencyEstimator.fit(table(4, 20))


def test_it_estimates_what_a_machine_reaches_on_tasks_that_it_has_not_seen(
    estimator: LatencyEstimator,
) -> None:
    unseen = table(1, 30, seed=1)
    best = np.flatnonzero(unseen.scores == 1)
    off = np.abs(np.log2(estimator.predict(unseen.features[best]) / unseen.secs[best]))
    assert np.exp2(np.median(off)) < 1.3


def test_errors_are_those_of_networks_that_were_held_out(estimator: LatencyEstimator) -> None:
    assert {name: len(found) for name, found in estimator.errors.items()} == {f"net{n}": 20 for n in range(4)}
    assert 1 < estimator.median_error < 1.5


def test_intervals_hold_the_share_that_they_say(estimator: LatencyEstimator) -> None:
    """Of tasks and of sums over ten networks that were not there to learn from, most of whose time a few tasks take."""
    low, high = estimator.factors(0.9)
    rng, sums = np.random.default_rng(0), []
    for seed in range(2, 12):
        unseen = table(1, 100, seed=seed)
        best = np.flatnonzero(unseen.scores == 1)
        secs, estimated = unseen.secs[best], estimator.predict(unseen.features[best])
        assert ((low * estimated <= secs) & (secs <= high * estimated)).mean() >= 0.8
        least, most = estimator.interval(estimated, np.ones(len(best)), 0.9, rng)
        assert most < 3 * least
        sums.append(least < secs.sum() < most)
    assert sum(sums) >= 8


def test_tasks_of_which_nothing_ran_teach_nothing() -> None:
    estimator = LatencyEstimator.fit(table(3, 20, failing=5))
    assert sum(len(found) for found in estimator.errors.values()) == 55


def test_a_few_tasks_are_too_few() -> None:
    with pytest.raises(Misuse, match="at least 10 tasks"):
        LatencyEstimator.fit(table(1, 5))


def test_one_network_is_judged_by_held_out_tasks() -> None:
    assert len(LatencyEstimator.fit(table(1, 30)).errors["net0"]) == 30


def test_a_saved_estimator_estimates_the_same(estimator: LatencyEstimator, tmp_path: Path) -> None:
    estimator.save(tmp_path / "some.latency", {"records": 640})
    loaded = LatencyEstimator.load(tmp_path / "some.latency")
    features = table(1, 30, seed=1).features
    assert loaded.predict(features).tolist() == estimator.predict(features).tolist()
    assert loaded.factors(0.9) == estimator.factors(0.9)
    assert loaded.card["records"] == 640


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"feature_version": 0}, "AT303"),
        ({"roofline": [1.0, 2.0]}, "AT302"),
        ({"roofline": [1.0, 2.0, 1e300]}, "AT302"),
        ({"bias": "none"}, "AT302"),
        ({"errors": {}}, "AT302"),
        ({"errors": {"net0": []}}, "AT302"),
        ({"columns": 3}, "AT302"),
        ({"kind": "xgboost-cost-model"}, "AT302"),
    ],
)
def test_what_is_no_estimator_for_these_features_is_refused(
    change: dict[str, Any], code: str, estimator: LatencyEstimator, tmp_path: Path
) -> None:
    path = tmp_path / "some.latency"
    estimator.save(path, {})
    card, boosters = read_model_file(path, "latency-estimator")
    write_model_file(path, {**card, **change}, boosters)
    with pytest.raises(Misuse, match=r"some\.latency") as caught:
        LatencyEstimator.load(path)
    assert caught.value.code == code
