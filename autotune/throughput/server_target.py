"""A running server as the target of a load; how it serves is its own choice."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotune.throughput import server_load
from autotune.throughput.arrivals import Seconds
from autotune.throughput.inference_protocol import ServerAddress
from autotune.throughput.load_run import LoadRun, StopRule
from autotune.throughput.serving_setup import BatchPolicy, ServingSetup
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import compiler_threads
from search_spaces.errors import AutotuneError

_SPARE_SECS = 60.0
# More connections at once bring next to nothing more.
_SATURATED = 0.95
_MOST_SERVERS = 32


class ServerTarget(Closeable):
    """A model at a server; the load comes from a process of its own.

    A setup stands for what the server does: it has as many instances as requests that it works on at once.
    """

    sizes = (1,)

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._pool = lasting_worker(WorkerNeeds(server_load.__name__, compiler_threads()))

    def saturated_secs(self, setup: ServingSetup, secs: float) -> Seconds:
        """See `autotune.throughput.target.Target`; as many connections as instances are busy."""
        call = Call(server_load.closed_loop_secs, (self._address, setup.instances, secs))
        found: Seconds = self._ask(call, secs)
        return found

    def offer(self, setup: ServingSetup, arrivals: Seconds, policy: BatchPolicy, rule: StopRule) -> LoadRun:
        """See `autotune.throughput.target.Target`; batches are the server's affair."""
        call = Call(server_load.open_loop, (self._address, arrivals, rule))
        found: LoadRun = self._ask(call, float(arrivals[-1]))
        return found

    def find_servers(self, secs: float) -> dict[int, Seconds]:
        """Latencies in seconds by connections, one, two, four and so on, up to where more bring no more throughput."""
        found: dict[int, Seconds] = {}
        best, connections = 0.0, 1
        while connections <= _MOST_SERVERS:
            latencies = self.saturated_secs(ServingSetup(connections, 1), secs)
            rate = connections / float(np.mean(latencies))
            if rate * _SATURATED < best:
                break
            found[connections], best = latencies, max(best, rate)
            connections *= 2
        return found

    def busy_elsewhere(self) -> float:
        """None that is known: the server itself may run on this machine."""
        return 0.0

    def close(self) -> None:
        """Ends the process."""
        self._pool.close()

    def _ask(self, call: Call, secs: float) -> Any:
        [reply] = self._pool.map([(call, secs + _SPARE_SECS)])
        if not isinstance(reply, Returned):
            raise AutotuneError(f"expected the server to answer; found {reply.message}", code="AT744")
        return reply.value
