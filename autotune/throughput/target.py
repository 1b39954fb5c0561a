"""Targets of a load: a built model whose instances run in a worker process of their own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol

from autotune.devices.machine_state import MachineWatch
from autotune.throughput import instances
from autotune.throughput.arrivals import Seconds
from autotune.throughput.instances import ServedModel
from autotune.throughput.load_run import LoadRun, StopRule
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool, lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError

_SPARE_SECS = 60.0


class Target(Protocol):
    """A model that answers requests in one of several setups. Methods raise AutotuneError where it fails."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that can be timed."""
        ...

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """Durations of calls with a full batch, ascending, while all instances are busy for so many seconds."""
        ...

    def served_per_second(self, setup: ServingSetup, secs: float) -> float | None:
        """Requests a second that are answered while some always wait, the way requests come; None where that is calls.

        secs: to find it out.
        """
        ...

    def offer(self, setup: ServingSetup, arrivals: Seconds, policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """Sends requests at these times."""
        ...

    def busy_elsewhere(self) -> float:
        """Processors that other programs used since it was last called."""
        ...


class LibraryTarget(Closeable):
    """A built model: clones that share the weights, in a process of its own for each number of instances and threads.

    seed: of the inputs. Processes would share nothing and are no faster: a call leaves Python's lock while kernels run.
    """

    def __init__(self, model: ServedModel, seed: int) -> None:
        self._model, self._seed = model, seed
        self._server = ForkServer(instances.__name__, kernel_threads(1))
        self._watch = MachineWatch()
        self._stack = ExitStack()
        self._place: tuple[int, int] | None = None
        self._worker: WorkerPool | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that are built."""
        return self._model.sizes

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """See `Target`."""
        timing = (setup.batch, secs, self._seed)
        call = Call(instances.saturated_secs, (self._model, setup.instances, setup.threads, timing))
        found: Seconds = self._ask(setup, call, secs)
        return found

    def served_per_second(self, _setup: ServingSetup, _secs: float) -> None:
        """See `Target`; requests are calls."""
        return

    def offer(self, setup: ServingSetup, arrivals: Seconds, policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """See `Target`."""
        schedule = (arrivals, policy, rule, self._seed)
        call = Call(instances.loaded, (self._model, setup.instances, setup.threads, schedule))
        found: LoadRun = self._ask(setup, call, float(arrivals[-1]))
        return found

    def busy_elsewhere(self) -> float:
        """See `Target`."""
        return self._watch.look("").busy_elsewhere

    def close(self) -> None:
        """Ends the processes."""
        self._stack.close()
        self._server.close()

    def _ask(self, setup: ServingSetup, call: Call, secs: float) -> Any:
        [reply] = self._worker_of(setup).map([(call, secs + _SPARE_SECS)])
        if not isinstance(reply, Returned):
            raise AutotuneError(f"expected the model to run as {setup}; found {reply.message}", code="AT704")
        return reply.value

    def _worker_of(self, setup: ServingSetup) -> WorkerPool:
        """The process of a setup; that of another one is ended first, as its idle threads would disturb."""
        place = (setup.instances, setup.threads)
        if self._worker is None or place != self._place:
            self._stack.close()
            needs = WorkerNeeds(instances.__name__, kernel_threads(setup.threads))
            self._worker = self._stack.enter_context(lasting_worker(needs, self._server))
            self._place = place
        return self._worker
