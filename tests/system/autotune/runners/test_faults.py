"""One candidate costs one candidate: every fault is provoked for real, named rightly, and survived."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from faulty_kernels import (
    BUILD_FAULTS,
    GROWTH_LIMIT_BYTES,
    RUN_FAULTS,
    built,
    check_build_fault,
    faulty,
    unselectable,
)

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.runners.local_runner import LocalRunner, cpu_program
from autotune.runners.runner import TrialLimits
from search_spaces.errors import AutotuneError
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Failure, FailureKind, Timing

pytestmark = pytest.mark.alone

# When the next candidate is measured after a fault: within 2 s on a machine of its own, with room for a busy one.
SOON_SECS = 10.0


@pytest.fixture(scope="module")
def device() -> Device:
    return local_device()


@pytest.fixture(scope="module")
def shared_runner(device: Device) -> Iterator[LocalRunner]:
    with LocalRunner(device, limits=TrialLimits(2.0, memory_bytes=GROWTH_LIMIT_BYTES)) as runner:
        yield runner


@pytest.fixture
def runner(shared_runner: LocalRunner, builder: LocalBuilder, space: TensorIRSpace) -> LocalRunner:
    """A runner that knows the right outputs of the operator."""
    [outcome] = shared_runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing)
    return shared_runner


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never appeared"
        time.sleep(0.01)


@pytest.mark.parametrize("name", RUN_FAULTS)
def test_a_fault_while_running_costs_that_candidate_only(
    name: str, runner: LocalRunner, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    fault, kind, said = RUN_FAULTS[name]
    [outcome] = runner.run([faulty(space, tmp_path, fault)])
    failure = outcome.measurement
    assert isinstance(failure, Failure), failure
    assert failure.kind is kind, failure
    assert said in failure.message
    [artifact] = built(builder, space)
    started = time.monotonic()
    [after] = runner.run([artifact])
    assert isinstance(after.measurement, Timing)
    assert time.monotonic() - started < SOON_SECS
    assert len(runner.pids) == 1


def test_a_fault_only_in_later_runs_is_found_in_what_would_be_the_best(
    runner: LocalRunner, space: TensorIRSpace, tmp_path: Path
) -> None:
    racy = faulty(space, tmp_path, "static int calls; if (++calls > 3) y[5] += 0.5f;")
    [outcome] = runner.run([racy])
    assert isinstance(outcome.measurement, Failure)
    assert outcome.measurement.kind is FailureKind.WRONG_RESULT


def test_a_kernel_that_prints_a_lot_is_measured_all_the_same(
    runner: LocalRunner, space: TensorIRSpace, tmp_path: Path
) -> None:
    talkative = faulty(
        space,
        tmp_path,
        'static int calls; if (!calls++) for (int i = 0; i < 200000; ++i) puts("so much to say");',
    )
    [outcome] = runner.run([talkative])
    assert isinstance(outcome.measurement, Timing)


def test_a_worker_killed_from_outside_is_not_held_against_the_candidate(
    runner: LocalRunner, space: TensorIRSpace, tmp_path: Path
) -> None:
    mark = tmp_path / "reached"
    waiting = faulty(
        space, tmp_path, f'if (access("{mark}", F_OK)) {{ fclose(fopen("{mark}", "w")); for (;;) pause(); }}'
    )
    [pid] = runner.pids

    def kill() -> None:
        wait_for(mark)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    [outcome] = runner.run([waiting])
    killer.join()
    assert isinstance(outcome.measurement, Timing)


def test_workers_killed_while_idle_are_replaced(
    runner: LocalRunner, builder: LocalBuilder, space: TensorIRSpace
) -> None:
    for pid in [*runner.pids, *builder.pids]:
        os.kill(pid, signal.SIGKILL)
    [outcome] = runner.run(built(builder, space))
    assert isinstance(outcome.measurement, Timing)


@pytest.mark.parametrize("name", BUILD_FAULTS)
def test_a_fault_while_compiling_costs_that_candidate_only(
    name: str, space: TensorIRSpace, tmp_path: Path
) -> None:
    check_build_fault(name, space, tmp_path, "cc")


def test_what_llvm_gives_up_on_is_a_build_error(builder: LocalBuilder, space: TensorIRSpace) -> None:
    [failure] = builder.build([unselectable(space)])
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.BUILD_ERROR
    assert "LLVM ERROR: Cannot select" in failure.message
    built(builder, space)


def test_a_program_that_the_compiler_refuses_is_a_build_error(
    builder: LocalBuilder, space: TensorIRSpace
) -> None:
    nonsense = replace(space.task, target=space.task.target.with_attr("mcpu", 7))
    [failure] = builder.build([replace(space.apply(space.default), task=nonsense)])
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.BUILD_ERROR
    built(builder, space)


def test_nothing_is_left_behind(device: Device, space: TensorIRSpace, tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    with LocalBuilder(workers=2) as builder, LocalRunner(device, limits=TrialLimits(1.0)) as runner:
        scratch = built(builder, space)[0].library.parent
        runner.run([*built(builder, space), faulty(space, tmp_path, "for (;;) pause();")])
        runner.run([*built(builder, space), faulty(space, tmp_path, "abort();")])
        pids = [*builder.pids, *runner.pids]
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert psutil.Process().num_fds() == before
    assert not scratch.exists()
    runner.close()
    builder.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_and_files_end_with_their_parent_even_while_a_kernel_hangs(
    sent: signal.Signals, space: TensorIRSpace, tmp_path: Path
) -> None:
    hanging = tmp_path / "hanging"
    faulty(space, tmp_path, f'fclose(fopen("{hanging}", "w")); for (;;) pause();')
    script = tmp_path / "parent.py"
    # No `if __name__ == "__main__"`: workers do not import their parent's script.
    script.write_text(f"""
import pathlib, pickle
from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.runners.local_runner import LocalRunner, cpu_program
from autotune.runners.runner import TrialLimits
from autotune.devices.device import local_device
artifact = pickle.loads({pickle_of(space, tmp_path)!r})
with LocalBuilder(1) as builder, LocalRunner(local_device()) as runner:
    print(*builder.pids, *runner.pids, flush=True)
    runner.run([artifact])
""")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        wait_for(hanging)
        assert len(list(temporary.iterdir())) == 2
        parent.send_signal(sent)
        parent.wait(timeout=20)
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not list(temporary.iterdir())


def pickle_of(space: TensorIRSpace, directory: Path) -> bytes:
    signature = modules.signature(modules.load(space.task.workload.module))
    library = directory / "kernel.so"
    return pickle.dumps(Artifact(space.task, space.default, library, 0.0, signature, is_reference=True))


def test_workers_that_cannot_start_are_an_error_of_the_machine(
    builder: LocalBuilder, space: TensorIRSpace, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with (
        LocalRunner(device) as runner,
        pytest.raises(AutotuneError, match="expected a worker process to start"),
    ):
        runner.run(built(builder, space))


@pytest.mark.parametrize("is_spoilt", [True, False])
def test_an_error_that_spoils_the_device_for_its_process_is_followed_by_a_new_one(
    is_spoilt: bool, device: Device, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    program = replace(cpu_program(device), is_spoilt_by_errors=is_spoilt)
    with LocalRunner(device, program=program) as runner:
        runner.run(built(builder, space))
        before = runner.pids
        [outcome] = runner.run([faulty(space, tmp_path, RUN_FAULTS["raised error"][0])])
        assert isinstance(outcome.measurement, Failure)
        assert outcome.measurement.kind is FailureKind.RUN_ERROR
        [after] = runner.run(built(builder, space))
        assert isinstance(after.measurement, Timing), after
        assert (runner.pids != before) is is_spoilt
