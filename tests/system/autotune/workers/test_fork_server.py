"""Worker processes are forked from one that has imported what they need: nothing is imported twice, nobody is lost."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_pools import GIB, PID, pool_of

from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call, WorkerProcess
from autotune.workers.reply import Died, Returned
from search_spaces import AutotuneError

pytestmark = pytest.mark.alone

SLOW_MODULE = """
import os, time
from pathlib import Path
with Path(__file__).with_suffix(".imports").open("a") as imports:
    imports.write(f"{os.getpid()}\\n")
time.sleep(0.5)
"""


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that takes half a second to import and notes who did: its server alone, if all is well."""
    path = tmp_path / "slow_to_import.py"
    path.write_text(SLOW_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def importers(module: Path) -> list[int]:
    return [int(line) for line in module.with_suffix(".imports").read_text().split()]


def server_of(pool: WorkerPool) -> psutil.Process:
    parent = psutil.Process(pool.pids[0]).parent()
    assert parent is not None
    return parent


def test_what_workers_need_is_imported_once_however_many_there_are(slow_module: Path) -> None:
    with pool_of(3, module="slow_to_import") as pool:
        pool.map([(PID, 10.0)] * 3)
        for _ in range(3):
            [died] = pool.map([(Call(os._exit, (3,)), 10.0)])
            assert isinstance(died, Died)
        assert isinstance(pool.map([(PID, 10.0)])[0], Returned)
        assert importers(slow_module) == [server_of(pool).pid]


def test_pools_share_a_server_and_have_what_each_of_them_needs(slow_module: Path) -> None:
    with ForkServer("slow_to_import", {}) as server:
        pools = [
            WorkerPool(1, WorkerNeeds("slow_to_import", {"WHOSE": whose}), GIB, GIB, server)
            for whose in ("first", "second")
        ]
        for whose, pool in zip(("first", "second"), pools, strict=True):
            [reply] = pool.map([(Call(os.getenv, ("WHOSE",)), 10.0)])
            assert isinstance(reply, Returned)
            assert reply.value == whose
        assert len({server_of(pool).pid for pool in pools}) == 1
        assert importers(slow_module) == [server_of(pools[0]).pid]
        pools[0].close()
        assert isinstance(pools[1].map([(Call(os._exit, (3,)), 10.0)])[0], Died)
        assert isinstance(pools[1].map([(PID, 10.0)])[0], Returned)
        pools[1].close()


def test_a_pool_that_is_closed_while_it_imports_is_closed_at_once(slow_module: Path) -> None:
    pool = pool_of(2, module="slow_to_import")
    # Of a child that has ended and is not waited for there is no command line.
    living = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    [server] = [child for child in living if "slow_to_import" in child.cmdline()]
    started = time.monotonic()
    pool.close()
    assert time.monotonic() - started < 0.3
    assert not server.is_running()


def test_a_module_that_cannot_be_imported_is_an_error_that_says_why() -> None:
    with (
        pool_of(1, module="autotune.no_such_module") as pool,
        pytest.raises(AutotuneError, match="start, but ModuleNotFoundError: No module named"),
    ):
        pool.map([(PID, 10.0)])


def test_workers_live_on_without_their_server_and_the_next_one_has_a_new_one() -> None:
    with pool_of(1) as pool:
        [before] = pool.pids
        server = server_of(pool)
        server.kill()
        server.wait(10.0)
        [same, left] = pool.map([(PID, 10.0), (Call(os._exit, (3,)), 10.0)])
        assert isinstance(same, Returned)
        assert same.value == before
        # It is given to a second worker, as after a kill from outside, because nobody saw how the first one ended.
        assert isinstance(left, Died)
        assert left.returncode == 3
        pool.map([(PID, 10.0)])
        assert server_of(pool).pid != server.pid


def test_a_server_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.workers.program.__file__", os.devnull)
    with pytest.raises(AutotuneError, match="expected a worker process to start"), pool_of(1) as pool:
        pool.map([(PID, 10.0)])


def test_a_server_that_dies_while_it_is_asked_is_an_error_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "deaf"
    dying = tmp_path / "python"
    dying.write_text(
        f"#!{sys.executable}\nimport os, pathlib, sys, time\nos.close(int(sys.argv[3]))\n"
        f"pathlib.Path({str(deaf)!r}).touch()\ntime.sleep(0.5)\nsys.exit(3)\n"
    )
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    with ForkServer("os", {}) as server:
        while not deaf.exists():
            time.sleep(0.01)
        worker = WorkerProcess(server, WorkerNeeds("os"), GIB)
        with pytest.raises(AutotuneError, match="start, but the process exited with status 3"):
            worker.poll()


def test_a_closed_server_forks_no_more() -> None:
    server = ForkServer("os", {})
    server.close()
    before = now_held()
    with pytest.raises(AutotuneError, match="it was closed"):
        WorkerProcess(server, WorkerNeeds("os"), GIB)
    assert now_held() == before


@pytest.mark.parametrize("leave", ["pass", "pool.work([spin, CallFuture(Call(time.time), 10.0)], enough=1)"])
def test_no_process_is_left_when_the_parent_is_killed(leave: str, tmp_path: Path) -> None:
    program = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import CallFuture, WorkerPool
from autotune.workers.process import Call
pool = WorkerPool(2, WorkerNeeds("time"), {GIB}, {GIB})
spin = CallFuture(Call(exec, ("while True: pass", {{}})), 1000.0)
{leave}
print(*pool.pids, flush=True)
time.sleep(1000)
"""
    path = tmp_path / "parent.py"
    path.write_text(program)
    parent = psutil.Popen([sys.executable, str(path)], stdout=-1, text=True)
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    everyone = [*workers, workers[0].parent()]
    while leave != "pass" and all(one.status() != psutil.STATUS_STOPPED for one in workers):
        time.sleep(0.01)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(everyone, timeout=10.0)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def now_held() -> tuple[list[str], list[psutil.Process]]:
    """The descriptors and the children of this process."""
    return os.listdir("/proc/self/fd"), psutil.Process().children()
