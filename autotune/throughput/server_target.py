"""A running server as the target of a load; how it serves is its own choice."""

from __future__ import annotations

from autotune.throughput.arrivals import Seconds
from autotune.throughput.inference_protocol import ServerAddress
from autotune.throughput.load_run import LoadRun, StopRule
from autotune.throughput.load_worker import LoadWorker
from autotune.throughput.server_load import Endpoint
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup
from autotune.workers.closeable import Closeable

# More connections at once bring next to nothing more.
_SATURATED = 0.95
_MOST_SERVERS = 32


class ServerTarget(Closeable):
    """A model at a server; the load comes from a process of its own.

    A setup stands for what the server does: it has as many instances as requests that it works on at once.
    """

    sizes = (1,)

    def __init__(self, address: ServerAddress) -> None:
        self._endpoint = Endpoint(address)
        self._load = LoadWorker()

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """See `autotune.throughput.target.Target`; as many connections as instances are busy."""
        return self._load.closed_loop(self._endpoint, setup.instances, secs).latencies

    def served_per_second(self, _setup: ServingSetup, _secs: float) -> None:
        """See `autotune.throughput.target.Target`."""
        return

    def offer(self, _setup: ServingSetup, arrivals: Seconds, _policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """See `autotune.throughput.target.Target`; batches are the server's affair."""
        return self._load.open_loop(self._endpoint, arrivals, rule)

    def find_servers(self, secs: float) -> dict[int, Seconds]:
        """Latencies in seconds by connections, one, two, four and so on, up to where more bring no more throughput."""
        found: dict[int, Seconds] = {}
        best, connections = 0.0, 1
        while connections <= _MOST_SERVERS:
            run = self._load.closed_loop(self._endpoint, connections, secs)
            if run.per_second * _SATURATED < best:
                break
            found[connections], best = run.latencies, max(best, run.per_second)
            connections *= 2
        return found

    def busy_elsewhere(self) -> float:
        """None that is known: the server itself may run on this machine."""
        return 0.0

    def close(self) -> None:
        """Ends the process."""
        self._load.close()
