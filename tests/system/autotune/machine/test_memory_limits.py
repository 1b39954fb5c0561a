"""Memory that is refused: to workers, which costs one candidate, and to the process of a command, which says so."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from control_group import limited
from faulty_kernels import built
from tvm import te

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import local_device
from autotune.runners.local_runner import LocalRunner
from autotune.workers.fork_server import ForkServer
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Failure, FailureKind, Timing

_MIB = 1 << 20
_USED = {resource.RLIMIT_AS: "VmSize:", resource.RLIMIT_DATA: "VmData:"}
_LIMITS = [
    pytest.param(resource.RLIMIT_AS, id="address space"),
    pytest.param(resource.RLIMIT_DATA, id="data"),
]
# Beyond what a worker has when its limit begins; less than nothing lets it allocate no page any more.
_HEADROOMS = (-64, 0, 1, 2, 4)


def matmul(size: int) -> te.Tensor:
    """A product of square matrices: its outputs are compared in arrays of megabytes."""
    left, right = (te.placeholder((size, size), name=name) for name in "ab")
    inner = te.reduce_axis((0, size), name="k")
    product = te.compute((size, size), lambda i, j: te.sum(left[i, inner] * right[inner, j], axis=inner))
    return te.create_prim_func([left, right, product])


def limit(pids: list[int], kind: int, headroom: int | None) -> None:
    """Limits processes to what they have and so many MiB; None: no more."""
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text().split()
        used = int(status[status.index(_USED[kind]) + 1]) << 10
        soft = resource.RLIM_INFINITY if headroom is None else used + headroom * _MIB
        resource.prlimit(pid, kind, (soft, resource.RLIM_INFINITY))


@pytest.mark.parametrize("kind", _LIMITS)
def test_memory_refused_to_a_worker_costs_its_candidate(kind: int, kernels: ForkServer) -> None:
    device = local_device(1)
    space = TensorIRSpace(TuningTask(modules.workload(matmul(512), "matmul"), device.target))
    candidate = space.apply(space.default)
    with LocalBuilder(1, server=kernels) as builder, LocalRunner(device, server=kernels) as runner:
        [artifact] = built(builder, space)
        assert isinstance(runner.run([artifact])[0].measurement, Timing)
        found: list[object] = []  # a worker that is ended by its fault is replaced by one without a limit
        for headroom in _HEADROOMS:
            limit(builder.pids, kind, headroom)
            found += builder.build([candidate])
            limit(builder.pids, kind, None)
            limit(runner.pids, kind, headroom)
            found += [outcome.measurement for outcome in runner.run([artifact])]
            limit(runner.pids, kind, None)
        failures = [one for one in found if isinstance(one, Failure)]
        assert failures
        assert {one.kind for one in failures} == {FailureKind.OUT_OF_MEMORY}, failures
        again = built(builder, space)
        assert isinstance(runner.run(again)[0].measurement, Timing)


_POOL = """
import json
from autotune.workers.failure import failure_of
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Returned
with WorkerPool(2, WorkerNeeds("json"), 1 << 40, 1 << 40) as pool:
    calls = [Call(json.dumps, (1,)), Call(bytearray, (2 << 30,)), Call(json.dumps, (2,)), Call(json.dumps, (3,))]
    replies = pool.map([(call, 60.0) for call in calls])
print(json.dumps([
    reply.value if isinstance(reply, Returned) else failure_of(reply, 0.0, "timeout", "error").kind for reply in replies
]))
"""


def test_a_control_group_that_runs_full_ends_the_worker_rather_than_its_parent() -> None:
    with limited(memory_bytes=512 * _MIB) as enter:
        done = subprocess.run(
            [sys.executable, "-c", _POOL], preexec_fn=enter, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["1", FailureKind.OUT_OF_MEMORY, "2", "3"]


def _limiting(kind: int, size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (size * _MIB, size * _MIB))


@pytest.mark.parametrize("kind", _LIMITS)
@pytest.mark.parametrize(
    "size", [160, pytest.param(400, marks=pytest.mark.long), pytest.param(700, marks=pytest.mark.long), 1000]
)
def test_a_command_without_enough_memory_says_so_in_a_sentence(kind: int, size: int, tmp_path: Path) -> None:
    command = [
        "tune",
        "--op",
        "matmul:32,32,32",
        "--trials",
        "2",
        "--device",
        "local?threads=1",
        "--log",
        "log.jsonl",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "autotune.cli.main", *command],
        preexec_fn=_limiting(kind, size),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.returncode in (1, 2), done
        assert "error[AT807]" in done.stderr or "error[AT804]" in done.stderr, done.stderr
        assert "memory" in done.stderr
        assert f"{size} MiB" in done.stderr or "error[AT804]" in done.stderr
