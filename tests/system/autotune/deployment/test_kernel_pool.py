"""A built model computes on the threads it was tuned for, in any thread of a process where TVM was told otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autotune
from autotune.deployment.kernel_pool import usable_threads
from tuning_logs import TuningLog

PROGRAM = """
import os, sys, threading
import numpy as np, tvm
from tvm import te
import autotune

pool_size = tvm.get_global_func("runtime.NumThreads")
if sys.argv[2] == "after another kernel":
    x = te.placeholder((8,), name="x")
    y = te.compute((8,), lambda i: x[i] + 1)
    schedule = tvm.s_tir.Schedule(te.create_prim_func([x, y]))
    schedule.parallel(schedule.get_loops(schedule.get_sblock("compute"))[0])
    kernel = tvm.tirx.build(schedule.mod, target="llvm")
    kernel["main"](tvm.runtime.tensor(np.zeros(8, "float32")), tvm.runtime.tensor(np.zeros(8, "float32")))

seen = []
def call():
    for place in autotune.CallPlace:
        threads = int(sys.argv[3]) if len(sys.argv) > 3 else None
        model = autotune.load(sys.argv[1], threads=threads, place=place)
        model(np.zeros((1, 16, 8, 8), "float32"))
        seen.append(model.library._context().pool.run(pool_size))

call()
other = threading.Thread(target=call)
other.start()
other.join()
print(*seen)
"""


@pytest.fixture(scope="module")
def library(small_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = autotune.parse_device("local?threads=2").target
    built = autotune.compile(autotune.load_model(small_network), target, TuningLog.in_memory())
    return built.save(tmp_path_factory.mktemp("built") / "small.so")


def pool_sizes(*arguments: object) -> list[int]:
    """The sizes of the pools that calls of the main thread and of another one get in a plain process."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TVM_", "OMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=plain
    )
    assert ended.returncode == 0, ended.stderr
    return [int(size) for size in ended.stdout.split()]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.parametrize("state", ["at first", "after another kernel"])
def test_a_plain_process_computes_on_the_threads_that_the_model_was_tuned_for(
    library: Path, state: str
) -> None:
    assert pool_sizes(library, state) == [2, 2, 2, 2]


def test_the_number_of_threads_can_be_chosen(library: Path) -> None:
    assert pool_sizes(library, "at first", 1) == [1, 1, 1, 1]


def test_there_are_no_more_threads_than_processors() -> None:
    assert usable_threads(10_000) == len(os.sched_getaffinity(0))
    assert usable_threads(1) == 1
