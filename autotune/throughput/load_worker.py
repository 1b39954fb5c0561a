"""A load generator in a process of its own, for servers."""

from __future__ import annotations

from typing import Any

from autotune.throughput import server_load
from autotune.throughput.arrivals import Seconds
from autotune.throughput.load_run import LoadRun, StopRule
from autotune.throughput.server_load import ClosedLoop, Endpoint
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import compiler_threads
from search_spaces.errors import AutotuneError

_SPARE_SECS = 60.0


class LoadWorker(Closeable):
    """The process. Methods raise AutotuneError where the server does not answer as expected."""

    def __init__(self) -> None:
        self._pool = lasting_worker(WorkerNeeds(server_load.__name__, compiler_threads()))

    def closed_loop(self, endpoint: Endpoint, connections: int, secs: float) -> ClosedLoop:
        """A closed loop of connections that each send one request after the other."""
        found: ClosedLoop = self._ask(Call(server_load.closed_loop, (endpoint, connections, secs)), secs)
        return found

    def open_loop(self, endpoint: Endpoint, arrivals: Seconds, rule: StopRule) -> LoadRun:
        """Requests at these times."""
        found: LoadRun = self._ask(
            Call(server_load.open_loop, (endpoint, arrivals, rule)), float(arrivals[-1])
        )
        return found

    def close(self) -> None:
        """Ends the process."""
        self._pool.close()

    def _ask(self, call: Call, secs: float) -> Any:
        [reply] = self._pool.map([(call, secs + _SPARE_SECS)])
        if not isinstance(reply, Returned):
            raise AutotuneError(f"expected the server to answer; found {reply.message}", code="AT744")
        return reply.value
