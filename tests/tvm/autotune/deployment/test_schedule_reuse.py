"""What a build uses where the log has no record of an operator's own, or one that is no better than nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax

from autotune.cli.main import app
from autotune.deployment.compilation import Build, compile
from autotune.deployment.coverage import CoverageRow, Status
from autotune.devices.device import local_device
from autotune.models.model import load_model
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED, Config
from search_spaces.config_transfer import transferred
from search_spaces.decision import Decision
from search_spaces.errors import AutotuneError, IllegalSchedule
from search_spaces.factorization import factorizations
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir.module_digest import structure
from search_spaces.tensor_ir.modules import load, normalize
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord
from tuning_logs.selection.schedule_choice import Cause, Origin, OtherDevices, ScheduleChooser

HERE = DeviceFingerprint("here", {"threads": 2})
GPU = Target("nvidia/nvidia-a100")
ELSEWHERE = DeviceFingerprint("elsewhere", {"threads": 64})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")


def network(rows: int) -> tvm.IRModule:
    """Multiplies a matrix of so many rows with another and keeps what is positive."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((rows, 64), "float32"))
    w = relax.Var("w", relax.TensorType((64, 48), "float32"))
    with builder.function("main", [x, w]):
        with builder.dataflow():
            result = builder.emit_output(relax.op.nn.relu(builder.emit(relax.op.matmul(x, w))))
        builder.emit_func_output(result)
    return builder.finalize()


def only_task(rows: int, target: Target) -> TuningTask:
    [task] = extract_tasks(network(rows), target)
    return task


def scheduled(task: TuningTask, seed: int = 0) -> Config:
    """A config that is not the default and can be built."""
    rng = np.random.default_rng(seed)

    def choose(decision: Decision) -> int:
        return int(rng.integers(1 if decision.name == "sketch" else 0, len(decision.choices)))

    while True:
        try:
            return TensorIRSpace(task).apply(choose).config
        except IllegalSchedule:
            continue


def record(
    task: TuningTask, config: Config, secs: float = 0.001, device: DeviceFingerprint = HERE
) -> TuningRecord:
    timing = Timing((secs, secs * 1.1, secs * 0.9), 0.1)
    version = TensorIRSpace(task).version
    return TuningRecord(task, device, version, config, timing, None, Provenance(JOB, 0, JOB.started))


def log_of(*records: TuningRecord) -> TuningLog:
    log = TuningLog.in_memory()
    log.append(records)
    return log


def only_row(build: Build) -> CoverageRow:
    [row] = build.coverage.rows
    return row


def check(build: Build, rows: int) -> None:
    x, w = (np.random.default_rng(0).standard_normal(shape, np.float32) for shape in ((rows, 64), (64, 48)))
    np.testing.assert_allclose(build(x, w), np.maximum(x @ w, 0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rows", [64, 128])
def test_an_untuned_operator_of_a_gpu_gets_the_schedule_of_the_nearest_shape(rows: int) -> None:
    near, far = only_task(32, GPU), only_task(4096, GPU)
    log = log_of(
        record(near, scheduled(near, 1)),
        record(near, TensorIRSpace(near).default, 1.0),
        record(far, scheduled(far, 2)),
    )

    choice = ScheduleChooser(log, HERE).choose(only_task(rows, GPU))

    assert choice.origin is Origin.NEAR_MATCH
    assert choice.record is not None
    assert choice.record.task.key == near.key
    assert choice.candidate is not None
    assert choice.candidate.config.by_name["sketch"] == scheduled(near, 1).by_name["sketch"]


def test_an_untuned_operator_of_a_cpu_gets_its_default_schedule(target: Target) -> None:
    near = only_task(32, target)
    log = log_of(record(near, scheduled(near, 1)), record(near, TensorIRSpace(near).default, 1.0))

    build = compile(network(64), target, log, HERE)

    row = only_row(build)
    assert (row.status, row.cause) == (Status.DEFAULT_SCHEDULE, Cause.OTHER_SHAPE)
    assert near.name in row.reason
    check(build, 64)


def test_a_schedule_that_does_not_build_is_not_carried_over() -> None:
    near, task = only_task(32, GPU), only_task(64, GPU)
    log = log_of(record(near, scheduled(near)))

    choice = ScheduleChooser(log, HERE, builds=lambda candidate: False).choose(task)

    assert choice.record is None
    assert choice.miss is not None
    assert choice.miss.cause is Cause.OTHER_SHAPE


def test_a_schedule_that_was_no_better_than_nothing_is_not_carried_over() -> None:
    near, task = only_task(32, GPU), only_task(64, GPU)
    log = log_of(record(near, scheduled(near), 0.001), record(near, TensorIRSpace(near).default, 0.00101))

    assert ScheduleChooser(log, HERE).choose(task).record is None


def test_another_operator_is_no_near_match(target: Target) -> None:
    other = operator_task("conv1d_nlc:1,64,16,32,3,1,1", target)
    log = log_of(record(other, scheduled(other)))

    choice = ScheduleChooser(log, HERE).choose(only_task(64, target))

    assert choice.record is None
    assert choice.miss is not None
    assert choice.miss.cause is Cause.NO_RECORD


def test_a_tuned_schedule_within_noise_of_the_default_is_not_used(target: Target) -> None:
    task = only_task(32, target)
    tuned, default = scheduled(task), TensorIRSpace(task).default

    noise = compile(network(32), target, log_of(record(task, tuned, 0.99), record(task, default, 1.0)), HERE)
    gain = compile(network(32), target, log_of(record(task, tuned, 0.5), record(task, default, 1.0)), HERE)

    assert only_row(noise).status is Status.DEFAULT_IS_BEST
    assert only_row(gain).status is Status.TUNED
    check(gain, 32)


def test_naive_loops_of_an_older_log_give_way_to_the_default_schedule(target: Target) -> None:
    task = only_task(32, target)
    near = only_task(64, target)

    row = only_row(
        compile(network(32), target, log_of(record(task, UNTOUCHED), record(near, UNTOUCHED)), HERE)
    )

    assert (row.status, row.cause, row.default_secs) == (Status.DEFAULT_SCHEDULE, Cause.NO_RECORD, None)
    assert "naive loops" in row.reason


def test_the_default_schedule_of_an_earlier_version_gives_way_to_the_present_one(target: Target) -> None:
    task = only_task(32, target)
    earlier = Config((("sketch", "default-schedule-1"),))
    log = log_of(record(task, earlier, 0.001), record(task, scheduled(task), 0.002))

    choice = ScheduleChooser(log, HERE).choose(task)

    assert choice.record is None
    assert choice.candidate is None
    assert choice.default == DEFAULT_SCHEDULE
    assert choice.miss is not None
    assert "earlier version" in choice.miss.reason


def test_naive_loops_and_the_default_schedule_have_times_of_their_own(target: Target) -> None:
    task = only_task(32, target)
    log = log_of(
        record(task, UNTOUCHED, 1.0),
        record(task, DEFAULT_SCHEDULE, 0.02),
        record(task, scheduled(task), 0.05),
    )

    build = compile(network(32), target, log, HERE)

    row = only_row(build)
    assert (row.status, row.default_secs, row.tuned_secs) == (Status.DEFAULT_IS_BEST, 0.02, 0.02)
    check(build, 32)


@pytest.mark.parametrize("text", ["llvm -num-cores=2", "llvm -num-cores=8"])
def test_records_of_another_device_or_target_are_used_only_when_asked_for(text: str, target: Target) -> None:
    theirs = only_task(32, Target.parse(text))
    log = log_of(record(theirs, scheduled(theirs), device=ELSEWHERE))

    refused = only_row(compile(network(32), target, log, HERE))
    build = compile(network(32), target, log, HERE, OtherDevices.ALLOWED)

    assert refused.status is Status.DEFAULT_SCHEDULE
    assert refused.cause is (Cause.OTHER_DEVICE if theirs.target == target else Cause.OTHER_TARGET)
    row = only_row(build)
    assert (row.status, row.source) == (Status.OTHER_DEVICE, f"elsewhere ({text})")
    assert row.cause is refused.cause
    check(build, 32)


def test_structure_is_blind_to_sizes_only(target: Target) -> None:
    def of(name: str) -> tuple[str, tuple[int, ...]]:
        return structure(normalize(load(operator_task(name, target).workload.module))["main"])

    assert of("matmul:16,32,64")[0] == of("matmul:128,32,8")[0]
    assert of("matmul:16,32,64")[1] != of("matmul:128,32,8")[1]
    assert of("matmul:16,32,64")[0] != of("conv1d_nlc:1,64,16,32,3,1,1")[0]


@pytest.mark.parametrize(
    ("answer", "extent", "expected"),
    [
        ((4, 2, 4), 64, (8, 2, 4)),
        ((4, 2, 4), 16, (2, 2, 4)),
        ((4, 2, 4), 28, (7, 1, 4)),
        ((1, 1, 8), 7, (1, 1, 7)),
    ],
)
def test_inner_tiles_stay_as_they_are(
    answer: tuple[int, ...], extent: int, expected: tuple[int, ...]
) -> None:
    decision = Decision("tile", factorizations(extent, 3, -1))
    assert decision.choices[transferred(Config((("tile", answer),)))(decision)] == expected


def test_a_question_that_was_not_answered_gets_its_first_choice() -> None:
    choose = transferred(Config((("unroll", 20),)))
    assert choose(Decision("other", ("a", "b"))) == 0
    assert choose(Decision("unroll", (0, 16, 64))) == 1


@pytest.fixture
def build_command(
    small_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Runs `autotune build` on the small network, and gives what it printed on stdout and stderr."""

    def command(*arguments: object) -> tuple[str, str]:
        output = tmp_path / "small.so"
        app(["build", str(small_network), "-o", str(output), *map(str, arguments)], standalone_mode=False)
        captured = capsys.readouterr()
        return captured.out, captured.err

    return command


def test_build_fails_where_too_much_of_the_time_is_untuned(
    build_command: Callable[..., tuple[str, str]], small_network: Path, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    with TuningLog.open(path) as log:
        log.append([])

    with pytest.raises(AutotuneError, match=r"at most 50.0% of the time, found 100.0%"):
        build_command("--log", path, "--strict", 0.5)
    assert not (tmp_path / "small.so").exists()

    out, err = build_command("--log", path, "--json", "--strict", 1.0)
    document = json.loads(out)
    assert document["missed_share"] == 1.0
    assert {row["cause"] for row in document["coverage"]} == {"no record"}
    assert "are untuned and run a default schedule" in err


def test_build_without_a_log_runs_default_schedules(build_command: Callable[..., tuple[str, str]]) -> None:
    out, err = build_command("--json")

    assert {row["status"] for row in json.loads(out)["coverage"]} == {"default schedule"}
    assert "run a default schedule: all there are" in err


def test_build_says_which_schedules_were_found_elsewhere(
    build_command: Callable[..., tuple[str, str]], small_network: Path, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    tasks = extract_tasks(load_model(small_network), local_device().target)
    with TuningLog.open(path) as log:
        log.append([record(task, scheduled(task), device=ELSEWHERE) for task in tasks])

    refused = json.loads(build_command("--log", path, "--json")[0])
    out, err = build_command("--log", path, "--json", "--allow-device")

    assert {row["status"] for row in refused["coverage"]} == {"default schedule"}
    assert {row["cause"] for row in refused["coverage"]} == {"other device"}
    assert {row["status"] for row in json.loads(out)["coverage"]} == {"tuned on another device"}
    assert "run a schedule found elsewhere" in err
