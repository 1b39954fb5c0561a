"""A few warm worker processes that share a list of calls; a call that kills its process costs nobody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

import psutil

from autotune.closeable import Closeable
from autotune.fork_server import ForkServer, WorkerNeeds
from autotune.worker_process import Call, State, WorkerProcess
from autotune.worker_reply import Died, Reply
from search_spaces.errors import AutotuneError

# How often clocks and memory are looked at: soon enough to catch a runaway, too rarely to disturb a timing.
_WATCH_SECS = 0.05
_MAX_CALLS = 300


class WorkerPool(Closeable):
    """Worker processes, forked at once from one that has imported what warm_up needs, replaced when dead or worn.

    server: what forks them, its owner's to close; by default one of the pool's own. environment is added to the
    server's. scratch is the owner's directory, deleted by the workers if the owner is killed before it can.
    memory_bytes is what one process may use; one that holds more than worn_bytes after a call, or has served
    300, is replaced before its next. close() ends all of them; so does the parent's own end.
    """

    def __init__(
        self,
        count: int,
        warm_up: Call,
        environment: Mapping[str, str],
        memory_bytes: int,
        worn_bytes: int,
        scratch: Path | None = None,
        server: ForkServer | None = None,
    ) -> None:
        self._warm_up = warm_up
        self._memory_bytes = memory_bytes
        self._worn_bytes = worn_bytes
        self._is_closed = False
        self._needs = WorkerNeeds(warm_up.function.__module__, environment, scratch)
        self._owns_server = server is None
        self._server = server or ForkServer(self._needs.module, environment)
        self._workers = [self._spawn() for _ in range(count)]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that live."""
        return [worker.pid for worker in self._workers if worker.state is not State.DEAD]

    def map(self, calls: Sequence[tuple[Call, float]]) -> list[Reply]:
        """Replies to (call, timeout_secs), in the order of the calls.

        The clock of a call starts when a worker takes it up. A call whose process is killed from outside is
        made once more. When map returns, no worker is busy or starting. Raises AutotuneError where worker
        processes cannot start.
        """
        replies: list[Reply | None] = [None] * len(calls)
        pending = deque(range(len(calls)))
        retried: set[int] = set()
        taken: dict[WorkerProcess, int] = {}
        try:
            while pending or taken or any(w.state is State.STARTING for w in self._workers):
                if self._is_closed:
                    raise AutotuneError("the worker processes were ended while they were at work")
                self._hand_out(calls, pending, taken)
                watched = [w for w in self._workers if w.state in (State.STARTING, State.BUSY)]
                wait([descriptor for worker in watched for descriptor in worker.descriptors], _WATCH_SECS)
                for worker in watched:
                    reply = worker.poll()
                    if reply is None:
                        continue
                    index = taken.pop(worker)
                    if isinstance(reply, Died) and reply.from_outside and index not in retried:
                        retried.add(index)
                        pending.appendleft(index)
                    else:
                        replies[index] = reply
        finally:
            # What was asked for while another thread closed the pool is nobody else's to end.
            for worker in self._workers if self._is_closed else taken:
                worker.kill()
        return [reply for reply in replies if reply is not None]

    def close(self) -> None:
        """Ends every worker process; a map in another thread raises AutotuneError then."""
        self._is_closed = True
        # The server buries the workers, so it goes after them; but what it has not forked yet, it need not.
        for worker in self._workers:
            if worker.is_born:
                worker.kill()
        if self._owns_server:
            self._server.close()
        for worker in self._workers:
            worker.kill()

    def _spawn(self) -> WorkerProcess:
        return WorkerProcess(self._server, self._needs, self._warm_up, self._memory_bytes)

    def _hand_out(
        self, calls: Sequence[tuple[Call, float]], pending: deque[int], taken: dict[WorkerProcess, int]
    ) -> None:
        for slot, worker in enumerate(self._workers):
            if not pending:
                return
            if self._worn(worker):
                worker.kill()
            if worker.state is State.IDLE and worker.start(*calls[pending[0]]):
                taken[worker] = pending.popleft()
            if worker.state is State.DEAD:
                self._workers[slot] = self._spawn()

    def _worn(self, worker: WorkerProcess) -> bool:
        if worker.state is not State.IDLE or worker.calls == 0:
            return False
        return worker.calls >= _MAX_CALLS or worker.used_bytes() > self._worn_bytes


def lasting_worker(warm_up: Call, environment: Mapping[str, str]) -> WorkerPool:
    """One process that may use all of this machine's memory and is not replaced for holding much of it."""
    memory_bytes = int(psutil.virtual_memory().total)
    return WorkerPool(1, warm_up, environment, memory_bytes, worn_bytes=memory_bytes)
