"""The worker's side of compiling: supervises worker processes, one for each order that it carries out at once."""

from __future__ import annotations

import itertools
import queue
import threading
from pathlib import Path

from autotune.builders.cpu_build import compile_kernel
from autotune.builders.gpu_build import KEEP_SOURCE
from autotune.cluster.parcel import CompileReport, CompileRequest
from autotune.machine.allowance import read_allowance
from autotune.workers.closeable import Closeable
from autotune.workers.failure import failure_of
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import CallFuture, WorkerPool
from autotune.workers.reply import Reply, Returned
from autotune.workers.room import require_room, scratch_folder
from autotune.workers.threads import compiler_threads
from tuning_logs.records.measurement import FailureKind

_GIB = 1 << 30


class Compiler(Closeable):
    """Compiles on this machine within limits of time and memory; several threads may call it. count: of processes."""

    def __init__(self, count: int) -> None:
        self._scratch = scratch_folder("autotune-build-")
        self._numbers = itertools.count()
        environment = {**compiler_threads(), **KEEP_SOURCE}
        needs = WorkerNeeds(compile_kernel.__module__, environment, Path(self._scratch.name))
        self._server = ForkServer(needs.module, environment)
        memory_bytes = min(3 * _GIB, read_allowance().memory_bytes)
        self._pools = [
            WorkerPool(1, needs, memory_bytes, memory_bytes // 4, self._server) for _ in range(count)
        ]
        self._idle: queue.SimpleQueue[WorkerPool] = queue.SimpleQueue()
        for pool in self._pools:
            self._idle.put(pool)
        self._changed = threading.Condition()
        self._is_paused = False
        self._at_work: set[WorkerPool] = set()

    def carry_out(self, request: CompileRequest) -> CompileReport:
        """Compiles a candidate. Raises StorageError where the disk is full, AutotuneError where no process starts."""
        library = Path(self._scratch.name, f"{next(self._numbers)}.so")
        pool = self._idle.get()
        try:
            reply = self._compile(pool, CallFuture(request.order.call(library), request.timeout_secs))
        finally:
            self._idle.put(pool)
        try:
            if isinstance(reply, Returned):
                code = library.read_bytes() if library.is_file() else b""
                return CompileReport(reply.value, code, reply.secs)
            require_room(library.parent)
            failure = failure_of(reply, reply.secs, FailureKind.BUILD_TIMEOUT, FailureKind.BUILD_ERROR)
            return CompileReport(failure, b"", reply.secs)
        finally:
            for rest in (library, library.with_suffix(".o")):
                rest.unlink(missing_ok=True)

    def pause(self) -> None:
        """Stops what is compiled, and its clocks, until `resume`; no process runs or starts once this returns."""
        with self._changed:
            self._is_paused = True
            for pool in self._at_work:
                pool.interrupt()
            self._changed.wait_for(lambda: not self._at_work)

    def resume(self) -> None:
        """Continues what was stopped."""
        with self._changed:
            self._is_paused = False
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the worker processes."""
        for pool in self._pools:
            pool.close()
        self.resume()
        self._server.close()
        self._scratch.cleanup()

    def _compile(self, pool: WorkerPool, future: CallFuture) -> Reply:
        """The reply to a call, which is made once nothing is paused, and goes on after each pause."""
        while future.reply is None:
            with self._changed:
                self._changed.wait_for(lambda: not self._is_paused)
                self._at_work.add(pool)
            try:
                pool.work([future], enough=1)
            finally:
                with self._changed:
                    self._at_work.remove(pool)
                    self._changed.notify_all()
        return future.reply
