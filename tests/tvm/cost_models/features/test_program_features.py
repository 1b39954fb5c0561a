"""Features of real sketches, and what happens to those of records on the way through logs and caches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autotune.models.operators import operator_task
from cost_models.dataset import Dataset
from cost_models.features import record_features as module
from cost_models.features.feature_cache import FeatureCache
from cost_models.features.program_features import COLUMNS, FEATURE_VERSION, ProgramFeatures, vector_bits
from cost_models.features.record_features import feature_cache, record_features
from cost_models.record_table import RecordTable
from search_spaces import Config, Misuse, Target, TuningTask
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import (
    DeviceFingerprint,
    Failure,
    FailureKind,
    Job,
    Provenance,
    Timing,
    TuningLog,
    TuningRecord,
)

BASELINES = (UNTOUCHED, DEFAULT_SCHEDULE)
DEVICE = DeviceFingerprint(
    "cpu", {"threads": 2, "l1d_bytes": 32768, "l2_bytes": 1048576, "l3_bytes": 33554432}
)
JOB = Job("0" * 16, 0, "random", "2026-01-01T00:00:00+00:00")


def made_up_records(task: TuningTask, count: int, seed: int = 0) -> list[TuningRecord]:
    """Configs by lot, with times that grow with what they have outside their vectors; one in ten failed."""
    space, rng = TensorIRSpace(task), np.random.default_rng(seed)
    records = []
    for number in range(count):
        candidate = None
        config = space.answer(lambda decision: int(rng.integers(len(decision.choices))))
        candidate = space.apply(config)
        secs = 1e-3 * (1 + sum(len(str(answer)) for _, answer in candidate.config))
        measured = Timing((secs,), 0.1) if number % 10 else Failure(FailureKind.RUN_ERROR, "made up")
        provenance = Provenance(JOB, number, "2026-01-01T00:00:00+00:00")
        records.append(
            TuningRecord(
                task, DEVICE, space.version, candidate.config, measured, None, provenance, candidate.trace
            )
        )
    return records


def tasks() -> list[TuningTask]:
    target = Target.parse("llvm -mcpu=haswell -num-cores=2")
    texts = ("matmul:64,64,64", "conv2d_nhwc:1,14,14,16,16,3,1,1")
    return [operator_task(text, target) for text in texts]


@pytest.fixture(scope="module")
def records() -> list[TuningRecord]:
    return [record for task in tasks() for record in made_up_records(task, 20)]


def column(matrix: np.ndarray, name: str) -> list[float]:
    return [float(value) for value in matrix[:, COLUMNS.index(name)]]


def test_a_matmuls_tiles_are_read_off_the_answers() -> None:
    task = tasks()[0]
    space = TensorIRSpace(task)
    features = ProgramFeatures(task, DEVICE)
    for sketch in (each for each in space.sketches if not each.rows):
        tiled = [decision for decision in sketch.decisions if decision.name.startswith("tile")]
        answers: dict[str, tuple[int, ...]] = {}
        for decision, answer in zip(tiled, ((4, 2, 2, 4), (2, 2, 1, 16), (8, 8)), strict=True):
            answers[decision.name] = answer
        config = Config((("sketch", sketch.name), *answers.items(), ("unroll-0", 64)))
        row = features.matrix(sketch, [config])
        assert column(row, "nest0_vector") == [4.0]
        assert column(row, "nest0_level0_steps") == [6.0]
        assert column(row, "nest0_accumulators") == [3.0]  # four rows of 16 floats in vectors of eight
        assert column(row, "nest0_level1_steps") == [3.0]
        assert column(row, "nest0_spatial_steps") == [12.0]
        assert column(row, "unroll") == [pytest.approx(np.log2(65))]


def test_a_schedule_has_the_features_that_its_program_shows(records: list[TuningRecord]) -> None:
    """The innermost loops that TVM really makes have as many steps as the features say."""
    record = next(one for one in records if one.config.by_name["sketch"] == "sketch-0")
    candidate = TensorIRSpace(record.task).apply(record.config)
    row = record_features([record])
    steps = sum(column(row, f"nest0_level{level}_steps")[0] for level in range(6))
    assert steps == pytest.approx(np.log2(64**3))
    assert candidate.config == record.config


def test_a_configs_features_do_not_depend_on_its_company(records: list[TuningRecord]) -> None:
    together = record_features(records)
    alone = np.concatenate([record_features([record]) for record in records])
    assert np.array_equal(together, alone, equal_nan=True)


def test_the_untuned_program_is_known_as_such() -> None:
    space = TensorIRSpace(tasks()[0])
    rows = ProgramFeatures(space.task, DEVICE).matrix(None, [UNTOUCHED, space.default])
    assert column(rows, "is_untouched") == [1.0, 0.0]
    assert np.isnan(column(rows, "nest0_vector")).all()


@pytest.mark.parametrize("baseline", [UNTOUCHED, DEFAULT_SCHEDULE])
def test_baselines_of_old_logs_and_of_new_ones_have_features(
    records: list[TuningRecord], baseline: Config
) -> None:
    row = record_features([replace(records[0], config=baseline, trace=None)])
    assert column(row, "is_untouched") == [float(baseline == UNTOUCHED)]
    assert np.isfinite(column(row, "flops")).all()


@pytest.mark.parametrize(("mcpu", "bits"), [("znver4", 512), ("haswell", 256), ("nehalem", 128)])
def test_vectors_are_as_wide_as_the_target_has_them(mcpu: str, bits: int) -> None:
    assert vector_bits(Target.parse(f"llvm -mcpu={mcpu} -num-cores=2")) == bits


def test_stored_traces_and_search_spaces_give_the_same_features(records: list[TuningRecord]) -> None:
    bare = [replace(record, trace=None) for record in records]
    assert np.array_equal(record_features(records), record_features(bare), equal_nan=True)


def test_processes_give_what_one_gives(records: list[TuningRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WORTH_PROCESSES", 0)
    assert np.array_equal(record_features(records, processes=2), record_features(records), equal_nan=True)


def test_a_program_that_cannot_be_rebuilt_is_left_out(records: list[TuningRecord], tmp_path: Path) -> None:
    gone = [replace(record, trace=None, space_version="tensor-ir-0") for record in records[:5]]
    assert np.isnan(record_features(gone)[0]).all() or gone[0].config in BASELINES
    with TuningLog.open(tmp_path / "net.jsonl") as log:
        log.append([*gone, *records[5:]])
    table = RecordTable.read([tmp_path / "net.jsonl"])
    scheduled = sum(record.config not in BASELINES for record in gone)
    assert table.left_out == scheduled


def test_the_second_reading_computes_nothing(
    records: list[TuningRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.jsonl"
    with TuningLog.open(path) as log:
        log.append(records)
    first = Dataset.from_log(path)
    keys = {module.record_key(record) for record in records}
    assert len(FeatureCache.beside(path, FEATURE_VERSION, COLUMNS)) == len(keys)

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "_task_features", fail)
    second = Dataset.from_log(path)
    assert np.array_equal(first.features, second.features, equal_nan=True)
    assert first.scores.tolist() == second.scores.tolist()
    cache = tmp_path / "net.jsonl.features"
    cache.write_bytes(cache.read_bytes()[:-3])
    with pytest.raises(AssertionError, match="computed again"):
        Dataset.from_log(path)


def test_a_log_that_grew_keeps_what_was_computed(records: list[TuningRecord], tmp_path: Path) -> None:
    path = tmp_path / "net.jsonl"
    with TuningLog.open(path) as log:
        log.append(records[:10])
    Dataset.from_log(path)
    with TuningLog.open(path) as log:
        log.append(records[10:])
    cache = feature_cache(str(path))
    assert cache is not None
    assert len(cache) == len({module.record_key(record) for record in records[:10]})
    assert np.array_equal(record_features(records, cache), record_features(records), equal_nan=True)


def test_configs_count_once_and_failures_win(records: list[TuningRecord], tmp_path: Path) -> None:
    ran = next(record for record in records if isinstance(record.measurement, Timing))
    again = replace(ran, measurement=Timing((ran.secs * 3,), 0.1))
    broken = replace(ran, measurement=Failure(FailureKind.WRONG_RESULT, "made up"))
    for measured, expected in (([ran, again], ran.secs * 2), ([ran, again, broken], float("inf"))):
        path = tmp_path / f"net{len(measured)}.jsonl"
        with TuningLog.open(path) as log:
            log.append(measured)
        table = RecordTable.read([path])
        assert table.secs.tolist() == [pytest.approx(expected)]


def test_networks_are_named_by_their_logs(records: list[TuningRecord], tmp_path: Path) -> None:
    for name in ("one", "other"):
        with TuningLog.open(tmp_path / f"{name}.jsonl") as log:
            log.append(records[:12])
    table = RecordTable.read([tmp_path / "one.jsonl", tmp_path / "other.jsonl"])
    assert table.facts[0].networks == ("one", "other")
    assert len(table.digests) == 2


def test_logs_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="at least one tuning log"):
        RecordTable.read([])
    TuningLog.open(tmp_path / "empty.jsonl").close()
    with pytest.raises(Misuse, match="records to learn from"):
        RecordTable.read([tmp_path / "empty.jsonl"])
