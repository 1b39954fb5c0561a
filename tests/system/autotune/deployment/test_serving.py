"""A built model in programs of all kinds: with threads, forked and spawned children, daemons, and a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autotune
from tuning_logs import TuningLog

PROLOGUE = """
import multiprocessing, os, sys, threading, time
import numpy as np
import autotune

x = np.random.default_rng(0).standard_normal((1, 16, 8, 8)).astype("float32")
model = autotune.load(sys.argv[1], threads=2)

def serve(times):
    for _ in range(times):
        assert np.array_equal(model(x), expected)

def child_status(work):
    pid = os.fork()
    if pid == 0:
        work()
        sys.exit(7)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    return "did not end"

def threads():
    return len(os.listdir("/proc/self/task"))
"""
CALL = "expected = model(x)\n"

PROGRAMS = {
    "fork before the first call": "print(child_status(lambda: model(x)))",
    "fork after a call": CALL + "print(child_status(lambda: serve(3)))",
    "fork once the kernel threads sleep": CALL + "time.sleep(0.5); print(child_status(lambda: serve(3)))",
    "fork without a call in the child": CALL + "time.sleep(0.5); print(child_status(lambda: None))",
    "fork while another thread calls": CALL
    + "threading.Thread(target=serve, args=(10**9,), daemon=True).start(); time.sleep(0.1)\n"
    "print(*{child_status(lambda: serve(3)) for _ in range(5)})",
    "fork of a fork": CALL
    + "print(child_status(lambda: [serve(1), os._exit(child_status(lambda: serve(2)))]))",
    "fork from another thread": CALL + "found = []\n"
    "thread = threading.Thread(target=lambda: found.append(child_status(lambda: [serve(2), os._exit(7)])))\n"
    "thread.start(); thread.join(); print(*found)",
    "a model loaded in the child": CALL
    + "print(child_status(lambda: autotune.load(sys.argv[1], threads=2)(x)))",
    "threads in the child": CALL
    + "def work():\n    many = [threading.Thread(target=serve, args=(5,)) for _ in range(4)]\n"
    "    [one.start() for one in many]; [one.join() for one in many]\nprint(child_status(work))",
    "a pool that forks": CALL + "def work(_):\n    serve(2)\n    return 7\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool:\n    print(*set(pool.map(work, range(4))))",
    "threads that outlive the main thread": CALL
    + "def late():\n    time.sleep(0.2); serve(3); print(7)\nthreading.Thread(target=late).start()",
    "daemons at work at the end": CALL
    + "[threading.Thread(target=serve, args=(10**9,), daemon=True).start() for _ in range(3)]\n"
    "time.sleep(0.2); print(7)",
    "a thread for each request": CALL
    + "before = threads()\nfor _ in range(30):\n    one = threading.Thread(target=serve, args=(1,))\n"
    "    one.start(); one.join()\n"
    "print(7 if threads() < before + 5 else f'{threads() - before} threads more')",
    "models loaded and dropped": CALL + "for _ in range(3): autotune.load(sys.argv[1])(x)\n"
    "def mapped():\n"
    "    return threads(), len(os.listdir('/proc/self/fd')), int(open('/proc/self/statm').read().split()[1])\n"
    "before = mapped()\nfor _ in range(200): autotune.load(sys.argv[1])(x)\nafter = mapped()\n"
    "print(7 if after[:2] == before[:2] and after[2] - before[2] < 1000 else (before, after))",
    "clones side by side": CALL + "models = [model.clone(1) for _ in range(4)]; found = []\n"
    "many = [threading.Thread(target=lambda one=one: found.extend(one(x) for _ in range(20))) for one in models]\n"
    "[one.start() for one in many]; [one.join() for one in many]\n"
    "print(7 if len(found) == 80 and all(np.allclose(each, expected, rtol=1e-5) for each in found) else 'differ')",
    "a loop of events": "import asyncio\nexpected = model(x)\nasync def main():\n"
    "    found = await asyncio.gather(*(asyncio.to_thread(model, x) for _ in range(8)))\n"
    "    assert all(np.array_equal(one, expected) for one in [*found, model(x)])\n"
    "    print(7)\nasyncio.run(main())",
}


@pytest.fixture(scope="module")
def library(small_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = autotune.parse_device("local?threads=2").target
    built = autotune.compile(autotune.load_model(small_network), target, TuningLog.in_memory())
    return built.save(tmp_path_factory.mktemp("built") / "small.so")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_ends_as_it_says(library: Path, program: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROLOGUE + program)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TVM_", "OMP_"))}
    ended = subprocess.run(
        [sys.executable, script, library], capture_output=True, text=True, env=plain, timeout=100
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["7"]), ended.stderr
    assert "Traceback" not in ended.stderr and "terminate" not in ended.stderr
