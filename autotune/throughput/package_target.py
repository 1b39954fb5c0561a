"""The server of a package as the target of a load: timed without HTTP, loaded over HTTP in the very setup."""

from __future__ import annotations

from contextlib import ExitStack

from autotune.throughput.arrivals import Seconds
from autotune.throughput.instances import ServedModel
from autotune.throughput.load_run import LoadRun, StopRule
from autotune.throughput.load_worker import LoadWorker
from autotune.throughput.package_file import ServedPackage
from autotune.throughput.package_server import PackageServer
from autotune.throughput.server_load import Endpoint
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup
from autotune.throughput.target import LibraryTarget
from autotune.workers.closeable import Closeable

# Requests under way for each that is run, so that none of the instances waits for one.
_AHEAD = 2
_WARM_SECS = 0.2


class PackageTarget(Closeable):
    """A package: its library for service times, and its server, one at a time, for loads.

    model: the same library; seed: of the inputs.
    """

    def __init__(self, package: ServedPackage, model: ServedModel, seed: int) -> None:
        self._package, self._inputs = package, model.inputs
        self._library = LibraryTarget(model, seed)
        self._load = LoadWorker()
        self._stack = ExitStack()
        self._running: tuple[ServingSetup, Endpoint] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that the library takes."""
        return self._library.sizes

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """See `autotune.throughput.target.Target`; of calls of the library."""
        return self._library.saturated_secs(setup, secs)

    def served_per_second(self, setup: ServingSetup, secs: float) -> float:
        """See `autotune.throughput.target.Target`; with HTTP, and the load generator beside the server."""
        connections = _AHEAD * setup.instances * setup.batch
        return self._load.closed_loop(self._endpoint(setup), connections, secs).per_second

    def offer(self, setup: ServingSetup, arrivals: Seconds, _policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """See `autotune.throughput.target.Target`; the server forms the batches."""
        return self._load.open_loop(self._endpoint(setup), arrivals, rule)

    def busy_elsewhere(self) -> float:
        """See `autotune.throughput.target.Target`."""
        return self._library.busy_elsewhere()

    def close(self) -> None:
        """Ends the server and the processes."""
        self._stack.close()
        self._load.close()
        self._library.close()

    def _endpoint(self, setup: ServingSetup) -> Endpoint:
        """The server in this setup, warm; that of another one is ended first."""
        if self._running is None or self._running[0] != setup:
            self._running = None
            self._stack.close()
            server = self._stack.enter_context(PackageServer(self._package, setup))
            endpoint = Endpoint(server.address, self._inputs)
            self._load.closed_loop(endpoint, _AHEAD * setup.instances * setup.batch, _WARM_SECS)
            self._running = (setup, endpoint)
        return self._running[1]
