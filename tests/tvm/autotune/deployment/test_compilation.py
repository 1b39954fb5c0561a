"""Builds use what the log knows, say what it does not, and compute what the model computes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tvm
from onnx import TensorProto, helper, numpy_helper
from onnx_comparison import onnx_runtime_outputs
from tvm import relax

import autotune.deployment.side_by_side
from autotune.deployment.compilation import Build, compile
from autotune.deployment.coverage import CoverageRow, Status
from autotune.deployment.engine import draw
from autotune.deployment.executable import SavedModel, load
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.referee import judge, of_peer
from autotune.deployment.side_by_side import TimingSettings, side_by_side
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces.config import Config
from search_spaces.decision import Decision
from search_spaces.errors import AutotuneError, IllegalSchedule, Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.exchange.metaschedule_database import database
from tuning_logs.file.log import TuningLog
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import Failure, FailureKind, Measurement, Timing
from tuning_logs.records.record import Job, Provenance, TuningRecord

HERE = DeviceFingerprint("here", {"cpu_model": "this one", "threads": 2})
ELSEWHERE = DeviceFingerprint("elsewhere", {"cpu_model": "another", "threads": 2})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")
MILLISECOND = Timing((0.001,), 0.1)


@pytest.fixture(scope="module")
def model(small_network: Path) -> Model:
    return load_model(small_network)


@pytest.fixture(scope="module")
def tasks(model: Model, target: Target) -> tuple[TuningTask, ...]:
    return extract_tasks(model, target)


def scheduled(task: TuningTask, seed: int = 0) -> Config:
    """A config that is not the default and can be built."""
    rng = np.random.default_rng(seed)

    def choose(decision: Decision) -> int:
        first = 1 if decision.name == "sketch" else 0
        return int(rng.integers(first, len(decision.choices)))

    for _ in range(100):
        try:
            return TensorIRSpace(task).apply(choose).config
        except IllegalSchedule:
            continue
    raise AssertionError(f"no legal config for {task.name}")


def record(
    task: TuningTask, config: Config, measurement: Measurement = MILLISECOND, device: DeviceFingerprint = HERE
) -> TuningRecord:
    version = TensorIRSpace(task).version
    return TuningRecord(task, device, version, config, measurement, None, Provenance(JOB, 0, JOB.started))


def log_of(records: Iterable[TuningRecord]) -> TuningLog:
    log = TuningLog.in_memory()
    log.append(list(records))
    return log


def row(build: Build, task: TuningTask) -> CoverageRow:
    [found] = [each for each in build.coverage.rows if each.name == task.name]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_tuned_build_computes_what_onnx_runtime_does_and_packs_weights_ahead_of_time(
    seed: int, model: Model, tasks: tuple[TuningTask, ...], target: Target, tmp_path: Path
) -> None:
    build = compile(model, target, log_of(record(task, scheduled(task, seed)) for task in tasks), HERE)
    inputs = draw(model.inputs, seed)

    [theirs] = onnx_runtime_outputs(model, inputs)
    ours = build(*inputs)

    assert isinstance(ours, np.ndarray)
    verdict = judge([ours], of_peer([theirs]))
    assert verdict.mistake is None, verdict
    assert build.coverage.untuned == ()
    assert build.prepacked >= 3, "two convolutions and a dense layer have constant weights"
    assert build.runtime_packs == 0
    saved = load(build.save(tmp_path / "small.so"))
    np.testing.assert_array_equal(saved(*inputs), ours)


def test_a_build_without_a_log_computes_what_onnx_runtime_does(model: Model, target: Target) -> None:
    build = compile(model, target, TuningLog.in_memory())
    inputs = draw(model.inputs, 0)

    [theirs] = onnx_runtime_outputs(model, inputs)
    ours = build(*inputs)

    assert isinstance(ours, np.ndarray)
    verdict = judge([ours], of_peer([theirs]))
    assert verdict.mistake is None, verdict
    assert {each.status for each in build.coverage.rows} == {Status.DEFAULT_SCHEDULE}
    assert build.coverage.naive == ()
    assert build.coverage.missed_share == pytest.approx(1.0)


def test_the_schedule_in_the_build_is_the_one_that_was_measured(
    model: Model, tasks: tuple[TuningTask, ...], target: Target
) -> None:
    log = log_of(record(task, scheduled(task)) for task in tasks)
    lowered = lower(model, target)

    with modules.tvm_target(target), database(log, target, HERE) as records:
        applied = relax.transform.MetaScheduleApplyDatabase()(lowered)

    assert len(records.lookups) == len(tasks)
    for name, lookup in records.lookups.items():
        measured = TensorIRSpace(lookup.task).apply(lookup.choice.record.config).schedule.mod["main"]
        tvm.ir.assert_structural_equal(applied[name].body, measured.body, map_free_vars=True)


def test_a_model_that_replaces_one_in_use_is_the_one_that_is_loaded(target: Target, tmp_path: Path) -> None:
    library = tmp_path / "model.so"
    x = np.arange(4, dtype=np.float32)
    loaded = []
    for factor in (2.0, 3.0, 4.0):
        graph = helper.make_graph(
            [helper.make_node("Mul", ["x", "factor"], ["y"])],
            "scale",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
            [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
        )
        path = tmp_path / "scale.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        compile(load_model(path), target, TuningLog.in_memory()).save(library)
        loaded.append(load(library))

    for factor, model in zip((2.0, 3.0, 4.0), loaded, strict=True):
        np.testing.assert_array_equal(model(x), factor * x)


def test_a_saved_model_is_called_in_a_process_that_knows_only_tvm(
    model: Model, tasks: tuple[TuningTask, ...], target: Target, tmp_path: Path
) -> None:
    build = compile(model, target, log_of(record(task, scheduled(task)) for task in tasks), HERE)
    library = build.save(tmp_path / "deep" / "small.so")
    inputs = draw(model.inputs, 0)
    np.save(tmp_path / "x.npy", inputs[0])
    script = (
        "import sys, numpy as np, tvm\n"
        "from tvm import relax\n"
        "model = relax.VirtualMachine(tvm.runtime.load_module(sys.argv[1]), tvm.cpu())['main']\n"
        "np.save('y.npy', model(tvm.runtime.tensor(np.load('x.npy'))).numpy())\n"
    )

    subprocess.run(
        [sys.executable, "-c", script, str(library)], check=True, cwd=tmp_path, capture_output=True
    )

    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), build(*inputs), rtol=1e-6)


def test_coverage_counts_calls_and_shares_of_the_time(
    model: Model, tasks: tuple[TuningTask, ...], target: Target
) -> None:
    [convolution] = [task for task in tasks if task.weight == 2]
    others = [task for task in tasks if task is not convolution]
    log = log_of(
        [
            record(convolution, scheduled(convolution), Timing((0.003,), 0.1)),
            record(convolution, TensorIRSpace(convolution).default, Timing((0.030,), 0.1)),
            *(record(task, scheduled(task), Timing((0.001,), 0.1)) for task in others[:2]),
        ]
    )

    build = compile(model, target, log, HERE)

    first = build.coverage.rows[0]
    assert (first.name, first.calls, first.status) == (convolution.name, 2, Status.TUNED)
    assert (first.tuned_secs, first.default_secs) == (0.003, 0.030)
    assert 0.7 < first.share < 6 / 8, "the others' times are known or, of the untuned, expected"
    assert all(each.share > 0 for each in build.coverage.untuned if each.flops)
    assert build.coverage.missed_share == pytest.approx(sum(each.share for each in build.coverage.untuned))
    assert {each.name for each in build.coverage.untuned} == {task.name for task in others[2:]}
    assert sum(each.share or 0.0 for each in build.coverage.rows) == pytest.approx(1.0)


def test_a_default_schedule_that_won_is_used_and_said_to_have_won(
    model: Model, tasks: tuple[TuningTask, ...], target: Target
) -> None:
    task = tasks[-1]

    build = compile(model, target, log_of([record(task, TensorIRSpace(task).default)]), HERE)

    assert row(build, task).status is Status.DEFAULT_IS_BEST
    assert row(build, task).default_secs == 0.001


def _from_elsewhere(task: TuningTask) -> TuningRecord:
    return record(task, scheduled(task), device=ELSEWHERE)


def _for_another_target(task: TuningTask) -> TuningRecord:
    other = replace(task, target=Target.parse("llvm -num-cores=64"))
    return record(other, scheduled(other))


def _failed(task: TuningTask) -> TuningRecord:
    return record(task, scheduled(task), Failure(FailureKind.RUN_TIMEOUT, "too slow"))


def _of_another_space(task: TuningTask) -> TuningRecord:
    return replace(record(task, scheduled(task)), space_version="tensor-ir-0")


def _unheard_of(task: TuningTask) -> TuningRecord:
    return record(task, Config((("sketch", "sketch-99"),)))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_from_elsewhere, "no record from this device, only from elsewhere"),
        (_for_another_target, "no record for this target, only for llvm -num-cores=64"),
        (_failed, r"none of its 1 trials ran \(1 run_timeout\)"),
        (_of_another_space, "recorded for search space tensor-ir-0"),
        (_unheard_of, "its best record cannot be replayed: 'sketch-99' is not among"),
        (None, "no record of this operator"),
    ],
)
def test_a_miss_has_a_reason(
    make: Callable[[TuningTask], TuningRecord] | None,
    reason: str,
    model: Model,
    tasks: tuple[TuningTask, ...],
    target: Target,
) -> None:
    task = tasks[0]

    build = compile(model, target, log_of([make(task)] if make else []), HERE)

    missed = row(build, task)
    assert missed.status is Status.DEFAULT_SCHEDULE
    assert missed.tuned_secs is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(missed.reason)


def test_records_of_any_device_count_where_none_is_named(
    model: Model, tasks: tuple[TuningTask, ...], target: Target
) -> None:
    build = compile(model, target, log_of([_from_elsewhere(tasks[0])]))

    assert row(build, tasks[0]).status is Status.TUNED


def test_the_database_refuses_another_target(
    model: Model, tasks: tuple[TuningTask, ...], target: Target
) -> None:
    log = log_of([record(tasks[0], scheduled(tasks[0]))])
    lowered = lower(model, target)

    with (
        modules.tvm_target(Target.parse("llvm -num-cores=3")),
        database(log, target, HERE),
        pytest.raises(Misuse, match="expected a build for the database's target"),
    ):
        relax.transform.MetaScheduleApplyDatabase()(lowered)


def test_inputs_that_do_not_fit_are_refused(model: Model, target: Target) -> None:
    build = compile(model, target, TuningLog.in_memory())
    [good] = draw(model.inputs, 0)

    for bad in ([good[:, :3]], [good.astype(np.float64)], [good[0]], [], [good, good]):
        with pytest.raises(Misuse, match="expected inputs that fit the model"):
            build(*bad)


def test_a_bare_operator_is_not_a_model(target: Target) -> None:
    module = modules.load(operator_task("matmul:16,16,16", target).workload.module)

    with pytest.raises(Misuse, match="bare operator"):
        compile(module, target, TuningLog.in_memory())


def test_a_build_that_cannot_be_written_leaves_what_was_there(
    model: Model, target: Target, tmp_path: Path
) -> None:
    build = compile(model, target, TuningLog.in_memory())
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "kept").write_text("kept")

    with pytest.raises(AutotuneError, match="could not be written"):
        build.save(occupied)

    assert [each.name for each in tmp_path.iterdir()] == ["occupied"]
    assert (occupied / "kept").read_text() == "kept"


def test_what_is_not_a_saved_model_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "fake.so"
    fake.write_bytes(b"\x7fELF but not really")

    with pytest.raises(Misuse, match="there is no such file"):
        load(tmp_path / "none.so")
    with pytest.raises(Misuse, match="cannot be loaded"):
        load(fake)


def test_engines_side_by_side_are_timed_and_compared(model: Model, target: Target, tmp_path: Path) -> None:
    build = compile(model, target, TuningLog.in_memory())
    saved = SavedModel(build.save(tmp_path / "small.so"))
    peer = OnnxRuntime(model.path, tuple(model.shapes.items()), 2)

    compared = side_by_side([saved, peer], TimingSettings(model.inputs, 2, rounds=2, round_secs=0.01))

    assert [each.name for each in compared.latencies] == ["autotune", "onnxruntime"]
    assert all(secs > 0 for each in compared.latencies for secs in each.run_secs)
    assert compared.ratios[0] == 1.0
    assert compared.mistake is None
    assert compared.check.max_rel_error < 1e-4
    assert build.measure(rounds=2).secs > 0


@pytest.mark.parametrize(("left_secs", "turns"), [([0.0], 2), ([1e9, 1e9, 0.0], 4), ([1e9] * 100, 20)])
def test_engines_take_more_turns_while_there_is_time_up_to_ten_times_as_many(
    model: Model, target: Target, tmp_path: Path, left_secs: list[float], turns: int
) -> None:
    saved = SavedModel(compile(model, target, TuningLog.in_memory()).save(tmp_path / "small.so"))
    left = iter(left_secs)

    compared = side_by_side(
        [saved, saved], TimingSettings(model.inputs, 2, rounds=2, round_secs=0.0), None, lambda: next(left)
    )

    # A turn of no time is one run.
    assert [len(each.run_secs) for each in compared.latencies] == [turns, turns]


def test_an_engine_that_fails_is_an_error_with_its_words(model: Model, tmp_path: Path) -> None:
    missing = SavedModel(tmp_path / "none.so")

    with pytest.raises(AutotuneError, match=r"expected autotune to run the model.*no such file"):
        autotune.deployment.side_by_side.measure(missing, TimingSettings(model.inputs, 1))


def test_a_model_that_calls_a_library_routine_can_be_built(tmp_path: Path, target: Target) -> None:
    graph = helper.make_graph(
        [helper.make_node("TopK", ["x", "k"], ["values", "places"])],
        "largest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (4, 32))],
        [
            helper.make_tensor_value_info("values", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("places", TensorProto.INT64, None),
        ],
        [numpy_helper.from_array(np.array([5]), "k")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "largest.onnx")
    data = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)

    values, places = compile(load_model(tmp_path / "largest.onnx"), target, TuningLog.in_memory())(data)

    np.testing.assert_array_equal(values, -np.sort(-data)[:, :5])
    np.testing.assert_array_equal(np.take_along_axis(data, places, 1), values)
