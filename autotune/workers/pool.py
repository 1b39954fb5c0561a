"""A pool of warm worker processes that share a list of calls; a call that kills its process affects no other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

from autotune.machine.allowance import read_allowance
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.process import Call, WorkerProcess, WorkerState
from autotune.workers.reply import Died, Reply
from search_spaces.errors import AutotuneError

# How often clocks and memory are looked at: soon enough to catch a runaway, too rarely to disturb a timing.
_WATCH_SECS = 0.05
_MAX_CALLS = 300


@dataclass(eq=False, slots=True)
class CallFuture:
    """A call in a pool; reply: None until there is one."""

    call: Call
    timeout_secs: float
    reply: Reply | None = None
    is_retried: bool = False


class WorkerPool(Closeable):
    """Worker processes, forked at once from one that has imported the module they need; replaced when dead or worn.

    memory_bytes:  limit of one process;
    recycle_bytes: one that holds more after a call, or has served 300 calls, is replaced before its next;
    server:        forks them, and is its owner's to close; by default one of the pool's own.

    `close` ends all of them; so does the parent's own end.
    """

    def __init__(
        self,
        count: int,
        needs: WorkerNeeds,
        memory_bytes: int,
        recycle_bytes: int,
        server: ForkServer | None = None,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._recycle_bytes = recycle_bytes
        self._is_closed = False
        #: Set while an interruption waits to be heeded.
        self._interruption = threading.Event()
        self._needs = needs
        #: The call of each busy worker, also while it is stopped.
        self._taken: dict[WorkerProcess, CallFuture] = {}
        self._owns_server = server is None
        self._server = server or ForkServer(needs.module, needs.environment)
        self._workers = [self._spawn() for _ in range(count)]

    @property
    def pids(self) -> list[int]:
        """The process ids of the live workers."""
        return [worker.pid for worker in self._workers if worker.state is not WorkerState.DEAD]

    def map(self, calls: Sequence[tuple[Call, float]]) -> list[Reply]:
        """Replies to (call, timeout_secs), in the order of the calls; see `work`."""
        futures = [CallFuture(call, timeout_secs) for call, timeout_secs in calls]
        self.work(futures, len(futures))
        return [future.reply for future in futures if future.reply is not None]

    def work(self, futures: Sequence[CallFuture], enough: int) -> None:
        """Makes calls until all futures have a reply; or until enough have, and a worker is idle; or interrupted.

        Processes whose call is under way then are stopped, and go on when work or map is called again: to get such a
        reply, pass the future again. The clock of a call starts when a worker takes it up, and stands while it is
        stopped. A call whose process is killed from outside is made once more. When this returns, no worker runs or
        starts. Raises AutotuneError where worker processes cannot start.
        """
        self._require_open()
        for worker in self._taken:
            worker.resume()
        pending = deque(one for one in futures if one.reply is None and one not in self._taken.values())
        try:
            while not self._is_enough(futures, pending, enough):
                self._require_open()
                self._hand_out(pending)
                watched = [w for w in self._workers if w.state in (WorkerState.STARTING, WorkerState.BUSY)]
                wait([descriptor for worker in watched for descriptor in worker.descriptors], _WATCH_SECS)
                for worker in watched:
                    reply = worker.poll()
                    if reply is None:
                        continue
                    future = self._taken.pop(worker)
                    if isinstance(reply, Died) and reply.from_outside and not future.is_retried:
                        future.is_retried = True
                        pending.appendleft(future)
                    else:
                        future.reply = reply
        except BaseException:
            # Workers that were forked while another thread closed the pool are ended here.
            for worker in self._workers if self._is_closed else self._taken:
                worker.kill()
            self._taken.clear()
            raise
        for worker in self._taken:
            worker.pause()
        self._interruption.clear()

    def interrupt(self) -> None:
        """Has `work` in another thread return within 50 ms, once no worker starts; else the next call of it."""
        self._interruption.set()

    def renew(self) -> None:
        """Ends the idle processes: the next calls are made by new ones."""
        for worker in self._workers:
            if worker.state is WorkerState.IDLE:
                worker.kill()

    def close(self) -> None:
        """Ends every worker process; a map in another thread raises AutotuneError then."""
        self._is_closed = True
        # The server reaps the workers, so it is closed after them, but before those that it has not forked yet.
        for worker in self._workers:
            if worker.is_started:
                worker.kill()
        if self._owns_server:
            self._server.close()
        for worker in self._workers:
            worker.kill()

    def _require_open(self) -> None:
        if self._is_closed:
            raise AutotuneError("the worker processes were ended while they were at work", code="AT804")

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._server, self._needs, self._memory_bytes)

    def _is_enough(self, futures: Sequence[CallFuture], pending: Sequence[CallFuture], enough: int) -> bool:
        if any(worker.state is WorkerState.STARTING for worker in self._workers):
            return False
        if self._interruption.is_set():
            return True
        if pending:
            return False
        replies = sum(future.reply is not None for future in futures)
        if replies == len(futures):
            return True
        return replies >= enough and any(worker.state is not WorkerState.BUSY for worker in self._workers)

    def _hand_out(self, pending: deque[CallFuture]) -> None:
        for slot, worker in enumerate(self._workers):
            if not pending:
                return
            if self._is_due_for_recycling(worker):
                worker.kill()
            if worker.state is WorkerState.IDLE and worker.start(pending[0].call, pending[0].timeout_secs):
                self._taken[worker] = pending.popleft()
            if worker.state is WorkerState.DEAD:
                self._workers[slot] = self._spawn()

    def _is_due_for_recycling(self, worker: WorkerProcess) -> bool:
        if worker.state is not WorkerState.IDLE or worker.calls == 0:
            return False
        return worker.calls >= _MAX_CALLS or worker.used_bytes() > self._recycle_bytes


def lasting_worker(needs: WorkerNeeds, server: ForkServer | None = None) -> WorkerPool:
    """A pool of one process, which may use as much memory as this one and is never replaced for holding much.

    server: forks it; by default one of the pool's own.
    """
    memory_bytes = read_allowance().memory_bytes
    return WorkerPool(1, needs, memory_bytes, memory_bytes, server)
