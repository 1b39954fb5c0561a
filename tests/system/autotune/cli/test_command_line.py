"""What a user types, what comes back, and with which exit code."""

import json
import os
import shutil
import signal
import subprocess
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from command_line import COMMAND, run_apart, run_here
from onnx import TensorProto, helper, numpy_helper

import autotune
from autotune.comparison import comparison
from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Job, Provenance, Timing

pytestmark = pytest.mark.alone


def _measured(log: autotune.TuningLog) -> set[tuple[str, autotune.Config]]:
    return {(record.task.key, record.config) for record in log.iterate()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution, a ReLU and a dense layer, small enough to tune in seconds."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype("float32") / 4, name)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel", "bias"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("Flatten", ["r"], ["f"]),
            helper.make_node("Gemm", ["f", "dense"], ["y"]),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16])],
        [weight("kernel", 8, 4, 3, 3), weight("bias", 8), weight("dense", 512, 16)],
    )
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def log(model: Path) -> Path:
    path = model.with_name("log.jsonl")
    done = run_here(
        "tune", model, "--log", path, "--trials", 12, "--batch", 4, "--json", "--sampler", "random"
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["trials"] == 12
    assert all(task["best_secs"] <= task["default_secs"] for task in summary["tasks"])
    return path


def test_tasks_lists_the_operators_of_a_model(model: Path) -> None:
    done = run_apart("tasks", model, "--json")
    assert done.returncode == 0, done.stderr
    tasks = json.loads(done.stdout)["tasks"]
    assert any("conv2d" in task["name"] for task in tasks)
    assert all(task["configs"] >= 2 for task in tasks)


def test_tasks_needs_no_device_of_the_target() -> None:
    done = run_here("tasks", "--op", "matmul:64,64,64", "--target", "nvidia/nvidia-a100", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "nvidia/nvidia-a100"


def test_the_default_schedule_of_each_operator_is_measured_first(log: Path) -> None:
    first: dict[str, autotune.Config] = {}
    for record in autotune.TuningLog.read(log).iterate():
        first.setdefault(record.task.key, record.config)
    assert set(first.values()) == {DEFAULT_SCHEDULE}


def test_naive_loops_of_an_older_log_do_not_stand_for_the_default_schedule(tmp_path: Path) -> None:
    path, device = tmp_path / "log.jsonl", local_device()
    task = operator_task("matmul:16,16,16", device.target)
    job = Job("job", 0, "random", "2026-01-01T00:00:00Z")
    with autotune.TuningLog.open(path) as log:
        log.append(
            [
                autotune.TuningRecord(
                    task,
                    device.fingerprint,
                    TensorIRSpace(task).version,
                    UNTOUCHED,
                    Timing((1.0,), 0.1),
                    None,
                    Provenance(job, 0, job.started),
                )
            ]
        )
    done = run_here("tune", "--op", task.name, "--log", path, "--trials", 1, "--sampler", "random", "--json")
    assert done.returncode == 0, done.stderr
    configs = [record.config for record in autotune.TuningLog.read(path).iterate()]
    assert configs[:2] == [UNTOUCHED, DEFAULT_SCHEDULE]
    [row] = json.loads(done.stdout)["tasks"]
    assert row["default_secs"] < 0.5


def test_a_second_tune_goes_on_and_does_not_measure_again(model: Path, log: Path) -> None:
    before = autotune.TuningLog.read(log)
    done = run_here("tune", model, "--log", log, "--trials", 4, "--json", "--sampler", "random", "--seed", 1)
    assert done.returncode == 0, done.stderr
    after = autotune.TuningLog.read(log)
    # Finalists of a machine that was disturbed have several records; a trial is a config that nobody has measured.
    assert len(_measured(after) - _measured(before)) == 4


def test_build_writes_a_library_that_is_called_with_the_input_alone(model: Path, log: Path) -> None:
    library = model.with_name("small.so")
    done = run_here("build", model, "--log", log, "--output", library, "--json")
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert built["latency_secs"] > 0
    assert {row["status"] for row in built["coverage"]} <= {"tuned", "default is best"}
    assert all(row["tuned_secs"] <= row["default_secs"] for row in built["coverage"])
    output = autotune.load(library)(np.ones((1, 4, 8, 8), "float32"))
    assert np.asarray(output).shape == (1, 16)


def test_bench_says_that_the_outputs_are_onnx_runtimes(
    model: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "ComparisonSettings", partial(comparison.ComparisonSettings, 3, 0.05))
    rivals = ("--against", "onnxruntime", "--against", "openvino", "--against", "untuned")
    done = run_here("bench", model, "--log", log, *rivals, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    names = [engine["name"] for engine in result["engines"]]
    assert names == ["autotune", "onnxruntime", "openvino", "untuned"]
    assert result["outputs_equal"]
    assert 0 < result["max_abs_error"] < 1e-3, "equal to the last bit would mean that nothing was compared"


def test_one_operator_is_tuned_without_a_model(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    done = run_here(
        "tune", "--op", "matmul:64,64,64", "--log", log, "--trials", 6, "--sampler", "tpe", "--json"
    )
    assert done.returncode == 0, done.stderr
    # The default schedule and six trials.
    assert len(_measured(autotune.TuningLog.read(log))) == 7


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    arguments = [*COMMAND, "tune", str(model), "--log", str(log), "--time", "10m", "--sampler", "random"]
    job = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not log.exists() or log.read_text().count('"record"') < 6):
            time.sleep(0.1)
        children = psutil.Process(job.pid).children(recursive=True)
        job.send_signal(signal.SIGINT)
        _out, err = job.communicate(timeout=30)
    finally:
        job.kill()
    assert job.returncode == 130, err
    assert "Traceback" not in err
    assert len(autotune.TuningLog.read(log)) >= 6
    assert children
    psutil.wait_procs(children, timeout=5)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_when_nothing_builds_it_says_why_and_fails(tmp_path: Path) -> None:
    # One that links nothing but kernels: what links nothing at all is the machine's fault.
    cc = shutil.which("cc")
    broken = tmp_path / "bin" / "cc"
    broken.parent.mkdir()
    broken.write_text(f'#!/bin/sh\ncase "$*" in *.o) echo no space left >&2; exit 1;; esac\nexec {cc} "$@"\n')
    broken.chmod(0o755)
    log = tmp_path / "log.jsonl"
    path = f"{broken.parent}{os.pathsep}{os.environ['PATH']}"
    done = run_here("tune", "--op", "matmul:16,16,16", "--log", log, "--trials", 4, env={"PATH": path})
    assert done.returncode == 1
    assert "build_error" in done.stderr


def one_sentence(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_bad_models_are_misuse(model: Path, tmp_path: Path) -> None:
    text, cut, absent = tmp_path / "text.onnx", tmp_path / "cut.onnx", tmp_path / "absent.onnx"
    text.write_text("this is no model")
    cut.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    for path in (text, cut, absent):
        one_sentence(run_here("tasks", path), 2, str(path.name))


def test_a_free_dimension_is_fixed_by_name_and_a_batch_is_one(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "free",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", "width"))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opset = helper.make_opsetid("", 17)
    path = tmp_path / "free.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)

    one_sentence(run_here("tasks", path), 2, "width")
    done = run_here("tasks", path, "--dim", "width=8", "--json")
    assert done.returncode == 0 and "--dim batch=N" in done.stderr
    fixed = run_here("tasks", path, "--dim", "width=8", "--dim", "batch=4", "--json")
    assert fixed.returncode == 0 and "batch" not in fixed.stderr
    assert json.loads(done.stdout) != json.loads(fixed.stdout)


def test_a_shape_that_does_not_fit_is_misuse(model: Path) -> None:
    one_sentence(run_apart("tasks", model, "--shape", "x:1,4,8"), 2, "x")
    one_sentence(run_here("tasks", model, "--shape", "nobody:1,4,8,8"), 2, "nobody")
    one_sentence(run_here("tasks", model, "--shape", "x=1,4,8,8"), 2, "input:1,3,320,320")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "gopher://x", "--trials", "1"], ["local"]),
        (["--device", "local?threads=9999", "--trials", "1"], ["threads"]),
        (["--op", "tensordot:1,2"], ["--time"]),
        (["--op", "tensordot:1,2", "--trials", "1"], ["matmul"]),
        (["--trials", "1"], ["--op"]),
        (["--op", "matmul:16,16,16", "--time", "soon"], ["90s"]),
        (["--op", "matmul:16,16,16", "--trials", "1", "--log", "/proc/no/log.jsonl"], ["/proc/no"]),
        (["--op", "matmul:16,16,16", "--trials", "1", "--sampler", "oracle"], ["oracle"]),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(arguments: list[str], words: list[str]) -> None:
    one_sentence(run_here("tune", *arguments), 2, *words)


def test_a_log_of_a_newer_schema_is_refused_and_left_alone(model: Path, log: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer.jsonl"
    body = '{"schema":"99.0","kind":"record"'
    newer.write_text(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
    before = newer.read_bytes()
    one_sentence(run_here("tune", model, "--log", newer, "--trials", 1), 1, "99")
    one_sentence(run_here("build", model, "--log", newer, "-o", tmp_path / "x.so"), 1, "99")
    assert newer.read_bytes() == before
    assert not (tmp_path / "x.so").exists()


def test_a_log_of_another_target_builds_nothing_tuned_and_says_so(
    model: Path, log: Path, tmp_path: Path
) -> None:
    done = run_here("build", model, "--log", log, "--device", "local?threads=1", "-o", tmp_path / "x.so")
    assert done.returncode == 0, done.stderr
    assert "untuned" in done.stderr


def test_devices_are_listed_with_what_their_threads_bring() -> None:
    done = run_here("devices", "local?threads=1", "--json")
    assert done.returncode == 0, done.stderr
    [device] = json.loads(done.stdout)
    assert (device["connection"], device["threads"], device["speedup"]) == ("local?threads=1", 1, 1.0)
    assert "-num-cores=1" in device["target"]
    one_sentence(run_here("devices", "gopher://x"), 2, "local")
