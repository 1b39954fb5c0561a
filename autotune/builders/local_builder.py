"""A builder on this machine, whose worker processes a candidate may crash."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from autotune.builders.artifact import Artifact
from autotune.builders.builder import MOST
from autotune.builders.compile_order import CompileOrders
from autotune.builders.cpu_build import compile_kernel
from autotune.builders.gpu_build import KEEP_SOURCE
from autotune.builders.linker import check_link_fault, require_linker
from autotune.machine.allowance import read_allowance
from autotune.workers.closeable import Closeable
from autotune.workers.failure import failure_of
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import CallFuture, WorkerPool
from autotune.workers.reply import Reply, Returned
from autotune.workers.room import require_storage, scratch_folder
from autotune.workers.threads import compiler_threads
from search_spaces.config import Config
from search_spaces.space import Candidate
from tuning_logs.records.measurement import Failure, FailureKind

_GIB = 1 << 30


class _Compilation(NamedTuple):
    future: CallFuture
    library: Path


class LocalBuilder(Closeable):
    """Compiles on this machine, one warm worker process for each of its cores.

    workers:      processes, by default one for each processor that this process may use, as far as memory allows;
    timeout_secs: limit of one candidate; memory_bytes: limit of one process;
    linker:       a C compiler driver that makes a shared library of an object file for the target;
    server:       forks the processes, by default one of the builder's own.

    Raises AutotuneError where there is no such linker. Artifacts live in a scratch directory until they are
    discarded, and no longer than the builder.
    """

    def __init__(
        self,
        workers: int | None = None,
        timeout_secs: float = 20.0,
        memory_bytes: int = 3 * _GIB,
        linker: str = "cc",
        server: ForkServer | None = None,
    ) -> None:
        require_linker(linker)
        allowance = read_allowance()
        memory_bytes = min(memory_bytes, allowance.memory_bytes)
        self._timeout_secs = timeout_secs
        self._linker = linker
        self._orders = CompileOrders(linker)
        self._numbers = itertools.count()
        self._left: dict[tuple[str, Config], _Compilation] = {}
        self._scratch = scratch_folder("autotune-build-")
        self._pool = WorkerPool(
            workers or allowance.compilers,
            WorkerNeeds(
                compile_kernel.__module__,
                {**compiler_threads(), **KEEP_SOURCE},
                Path(self._scratch.name),
            ),
            memory_bytes,
            recycle_bytes=memory_bytes // 4,
            server=server,
        )

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return self._pool.pids

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """Compiles the candidates in parallel; one that does not compile is a Failure.

        No worker runs when this returns, so that measuring is undisturbed. Raises StorageError where the scratch
        directory's disk is full or fails, AutotuneError where the linker is gone or links nothing.
        """
        return [built for built in self._build(candidates, 1.0) if built is not None]

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        """As `build`, but None for up to a quarter of them, for which other cores would stand idle.

        Their workers are stopped, so that measuring is undisturbed, and go on with the next call.
        """
        return self._build(candidates, MOST)

    def close(self) -> None:
        """Ends the worker processes and deletes the scratch directory, with all artifacts in it."""
        self._pool.close()
        self._scratch.cleanup()

    def _build(self, candidates: Sequence[Candidate], share: float) -> list[Artifact | Failure | None]:
        under_way = [self._begin(candidate) for candidate in candidates]
        self._pool.work([one.future for one in under_way], math.ceil(share * len(under_way)))
        for candidate, one in zip(candidates, under_way, strict=True):
            if one.future.reply is None:
                self._left[_key(candidate)] = one
        return [
            None if one.future.reply is None else self._outcome(candidate, one.library, one.future.reply)
            for candidate, one in zip(candidates, under_way, strict=True)
        ]

    def _begin(self, candidate: Candidate) -> _Compilation:
        if (key := _key(candidate)) in self._left:
            return self._left.pop(key)
        library = Path(self._scratch.name, f"{next(self._numbers)}.so")
        return _Compilation(
            CallFuture(self._orders.order(candidate).call(library), self._timeout_secs), library
        )

    def _outcome(self, candidate: Candidate, library: Path, reply: Reply) -> Artifact | Failure:
        if isinstance(reply, Returned):
            return self._orders.artifact(candidate, library, reply.value, reply.secs)
        for rest in (library, library.with_suffix(".o")):
            rest.unlink(missing_ok=True)
        require_storage(reply.message, library.parent)
        check_link_fault(reply.message, self._linker, library.parent)
        return failure_of(reply, reply.secs, FailureKind.BUILD_TIMEOUT, FailureKind.BUILD_ERROR)


def _key(candidate: Candidate) -> tuple[str, Config]:
    return candidate.task.key, candidate.config
