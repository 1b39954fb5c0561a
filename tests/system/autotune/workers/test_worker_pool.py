"""Worker processes: calls are answered in order, and a call that ruins its process ruins nothing else."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_pools import PID, pool_of

from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import CallFuture, WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Died, OverMemory, Raised, Returned, TimedOut
from search_spaces.errors import AutotuneError, StorageError

pytestmark = pytest.mark.alone

GIB = 1 << 30
SPIN = "import time; ends = time.process_time() + {cpu_secs}\nwhile time.process_time() < ends: pass"


def spinning(cpu_secs: float) -> CallFuture:
    return CallFuture(Call(exec, (SPIN.format(cpu_secs=cpu_secs), {})), 60.0)


def stopped_of(pool: WorkerPool) -> list[psutil.Process]:
    workers = [psutil.Process(pid) for pid in pool.pids]
    return [one for one in workers if one.status() == psutil.STATUS_STOPPED]


def wait_for_stopped(pool: WorkerPool) -> list[psutil.Process]:
    """A signal takes a moment to arrive."""
    ends = time.monotonic() + 10.0
    while not (stopped := stopped_of(pool)) and time.monotonic() < ends:
        time.sleep(0.01)
    return stopped


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with pool_of(1) as pool:
        yield pool


def test_replies_come_in_the_order_of_the_calls() -> None:
    with pool_of(2) as pool:
        replies = pool.map([(Call(math.sqrt, (float(i * i),)), 10.0) for i in range(50)])
    assert [reply.value for reply in replies if isinstance(reply, Returned)] == list(range(50))


def test_calls_are_spread_over_the_workers() -> None:
    with pool_of(2) as pool:
        replies = pool.map([(Call(time.sleep, (0.2,)), 10.0), (PID, 10.0), (PID, 10.0)])
        first, second = replies[1:]
        assert isinstance(first, Returned)
        assert isinstance(second, Returned)
        assert first.value in pool.pids
        assert len(pool.pids) == 2


def test_a_worker_is_warm_from_one_call_to_the_next(pool: WorkerPool) -> None:
    assert len({reply.value for reply in pool.map([(PID, 10.0)] * 5) if isinstance(reply, Returned)}) == 1


def test_a_worn_worker_is_replaced(pool: WorkerPool) -> None:
    pids = [reply.value for reply in pool.map([(PID, 10.0)] * 301) if isinstance(reply, Returned)]
    assert len(pids) == 301
    assert len(set(pids[:300])) == 1
    assert pids[300] != pids[0]


def test_the_environment_is_set_before_the_program_starts() -> None:
    with pool_of(1, {"TVM_NUM_THREADS": "3"}) as pool:
        [reply] = pool.map([(Call(os.getenv, ("TVM_NUM_THREADS",)), 10.0)])
    assert isinstance(reply, Returned)
    assert reply.value == "3"
    assert os.environ.get("TVM_NUM_THREADS") != "3"


def test_an_exception_leaves_the_worker_alive(pool: WorkerPool) -> None:
    raised, before = pool.map([(Call(math.sqrt, (-1.0,)), 10.0), (PID, 10.0)])
    assert isinstance(raised, Raised)
    assert raised.message.startswith("ValueError: ")
    assert isinstance(before, Returned)
    assert before.value == pool.pids[0]


def test_an_answer_that_cannot_be_sent_is_an_exception_too(pool: WorkerPool) -> None:
    [reply] = pool.map([(Call(threading.Lock), 10.0)])
    assert isinstance(reply, Raised)
    assert "pickle" in reply.message


def test_what_ruins_a_process_is_told_apart(pool: WorkerPool) -> None:
    replies = pool.map(
        [
            (Call(os.abort), 10.0),
            (Call(os._exit, (3,)), 10.0),
            (Call(time.sleep, (1000,)), 0.2),
            (Call(os.kill, (0, signal.SIGKILL)), 10.0),
            (PID, 10.0),
        ]
    )
    aborted, left, slept, killed, fine = replies
    assert isinstance(aborted, Died)
    assert aborted.returncode == -signal.SIGABRT
    assert not aborted.from_outside
    assert isinstance(left, Died)
    assert left.message == "the process exited with status 3"
    assert isinstance(slept, TimedOut)
    assert isinstance(killed, Died)
    assert killed.from_outside
    assert isinstance(fine, Returned)


def test_growth_beyond_its_share_ends_a_process() -> None:
    with pool_of(1, memory_bytes=200 << 20) as pool:
        forever = "block = []\nwhile True: block.append(bytearray(b'x') * (4 << 20))"
        big, fine = pool.map([(Call(exec, (forever, {})), 30.0), (PID, 10.0)])
    assert isinstance(big, OverMemory)
    assert big.used_bytes > big.limit_bytes == 200 << 20
    assert isinstance(fine, Returned)


def test_a_slow_call_is_left_when_enough_are_done_and_goes_on_where_it_stopped() -> None:
    slow, others = spinning(1.0), [CallFuture(PID, 10.0) for _ in range(3)]
    with pool_of(2) as pool:
        started = time.monotonic()
        pool.work([slow, *others], enough=3)
        assert all(isinstance(one.reply, Returned) for one in others)
        assert slow.reply is None
        [stopped] = wait_for_stopped(pool)
        used = stopped.cpu_times().user
        time.sleep(1.0)
        assert stopped.cpu_times().user == used
        pool.work([slow], enough=1)
        total_secs = time.monotonic() - started
        assert isinstance(slow.reply, Returned)
        assert slow.reply.secs < total_secs - 0.9
        assert stopped_of(pool) == []


def test_what_was_left_is_done_while_others_are() -> None:
    slow, quick = spinning(0.5), CallFuture(PID, 10.0)
    with pool_of(2) as pool:
        pool.work([slow, quick], enough=1)
        assert slow.reply is None
        pool.map([(spinning(3.0).call, 60.0)])
        assert isinstance(slow.reply, Returned)


def test_nothing_is_left_unless_a_worker_has_nothing_to_do(pool: WorkerPool) -> None:
    futures = [CallFuture(PID, 10.0) for _ in range(8)]
    pool.work(futures, enough=1)
    assert all(isinstance(one.reply, Returned) for one in futures)


def test_an_interrupted_call_is_stopped_and_goes_on_with_the_next_work(pool: WorkerPool) -> None:
    slow = spinning(0.3)
    interruption = threading.Timer(0.1, pool.interrupt)
    interruption.start()
    pool.work([slow], enough=1)
    assert slow.reply is None
    assert len(wait_for_stopped(pool)) == 1
    pool.work([slow], enough=1)
    assert isinstance(slow.reply, Returned)


def test_ctrl_c_ends_the_calls_under_way_and_the_pool_can_go_on(pool: WorkerPool) -> None:
    pool.map([(PID, 10.0)])
    [busy] = pool.pids
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        pool.map([(Call(time.sleep, (1000,)), 1000.0)])
    assert not psutil.pid_exists(busy)
    assert isinstance(pool.map([(PID, 10.0)])[0], Returned)


def test_closing_ends_every_process_and_can_be_repeated() -> None:
    pool = pool_of(2)
    pids = pool.pids
    assert len(pids) == 2
    pool.close()
    pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert pool.pids == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("OSError(28, 'No space left on device', '/tmp/x')", "AT803"),
        ("FileNotFoundError(2, \"No usable temporary directory found in ['/tmp', '/']\")", "AT803"),
        ("ImportError('no such library')", "AT804"),
    ],
)
def test_a_worker_that_storage_keeps_from_starting_is_no_fault_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, code: str
) -> None:
    (tmp_path / "spoilt.py").write_text(f"raise {fault}")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        WorkerPool(1, WorkerNeeds("spoilt"), GIB, GIB) as pool,
        pytest.raises(AutotuneError, match="expected a worker process to start") as error,
    ):
        pool.map([(PID, 10.0)])
    assert error.value.code == code
    assert isinstance(error.value, StorageError) == (code == "AT803")
