"""Load on a server from a process of its own: connections that each send one request after the other."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from threading import Barrier

import msgspec
import numpy as np

from autotune.deployment.engine import draw
from autotune.models.onnx_file import InputSpec
from autotune.throughput.arrivals import Seconds
from autotune.throughput.inference_protocol import ServerAddress, infer_request, read_metadata
from autotune.throughput.load_run import LoadRun, StopRule, offer_load
from autotune.throughput.serving_setup import BatchPolicy
from search_spaces.errors import AutotuneError

#: Requests under way at once: more than a server answers within a limit that holds.
CONNECTIONS = 64
_TIMEOUT_SECS = 30.0
_OK = 200
# Too many requests, no room in the queue, and not answered in time.
_BUSY = (429, 503, 504)
_LEAST_CALLS = 8
_WARM_CALLS = 8
_SETTLE_SECS = 0.1
_SEED = 0
_CHARS = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at a server. inputs: of a request, None where the server is asked for them."""

    address: ServerAddress
    inputs: tuple[InputSpec, ...] | None = None


@dataclass(frozen=True)
class ClosedLoop:
    """Outcome of a closed loop. latencies: in seconds, ascending; per_second: of answers, over all connections."""

    latencies: Seconds
    per_second: float


@dataclass(eq=False)
class Connection:
    """A connection that is kept open, and the request that it sends."""

    address: ServerAddress
    body: bytes
    headers: dict[str, str]

    def __post_init__(self) -> None:
        self._http = http.client.HTTPConnection(self.address.host, self.address.port, _TIMEOUT_SECS)

    def open(self) -> None:
        """Connects; the first request would pay for it."""
        self._http.connect()

    def call(self, _: int = 1) -> bool:
        """One request; False where the server is too busy for it. Raises AutotuneError for any other answer but 200.

        A server closes connections that were idle for a while, as most are at a small load: such a request is sent
        again over a new one, and its latency counts from its arrival all the same.
        """
        try:
            reply, text = self._exchange()
        except ConnectionError:
            self._http.close()
            reply, text = self._exchange()
        if reply.status not in (_OK, *_BUSY):
            raise AutotuneError(
                f"expected an answer with status 200; found {reply.status}: "
                f"{text[:_CHARS].decode(errors='replace')}",
                code="AT744",
            )
        return reply.status == _OK

    def _exchange(self) -> tuple[http.client.HTTPResponse, bytes]:
        self._http.request("POST", f"{self.address.path}/infer", self.body, self.headers)
        reply = self._http.getresponse()
        return reply, reply.read()

    def timed_calls(self, secs: float, together: Barrier) -> list[float]:
        """Latencies in seconds of calls one after another, for so long, from when all connections are open."""
        self.call()
        together.wait()
        found: list[float] = []
        until = time.perf_counter() + secs
        while (now := time.perf_counter()) < until or len(found) < _LEAST_CALLS:
            self.call()
            found.append(time.perf_counter() - now)
        return found

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()


def closed_loop(endpoint: Endpoint, connections: int, secs: float) -> ClosedLoop:
    """A closed loop of connections that each send one request after the other."""
    together = Barrier(connections)
    with ExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(connections))
        opened = [_connection(stack, endpoint) for _ in range(connections)]
        futures = [executor.submit(one.timed_calls, secs, together) for one in opened]
        latencies = [np.array(future.result()) for future in futures]
    rate = sum(len(each) / float(np.sum(each)) for each in latencies)
    return ClosedLoop(np.sort(np.concatenate(latencies)), rate)


def open_loop(endpoint: Endpoint, arrivals: Seconds, rule: StopRule) -> LoadRun:
    """Sends requests at these times, each over a connection that is free."""
    with ExitStack() as stack:
        connections = [_connection(stack, endpoint) for _ in range(CONNECTIONS)]
        for one in connections[:_WARM_CALLS]:
            one.call()
        # The server still has the others to accept.
        time.sleep(_SETTLE_SECS)
        callers = [(stack.enter_context(ThreadPoolExecutor(1)), one.call) for one in connections]
        used = time.process_time()
        run = offer_load(callers, arrivals, BatchPolicy(), rule)
        return replace(run, generator_share=(time.process_time() - used) / run.secs)


@cache
def inputs_of(address: ServerAddress) -> tuple[InputSpec, ...]:
    """The inputs of the model as the server describes them. Raises AutotuneError where it does not."""
    connection = http.client.HTTPConnection(address.host, address.port, _TIMEOUT_SECS)
    try:
        connection.request("GET", address.path)
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != _OK:
            raise _no_model(address, f"{reply.status}: {text[:_CHARS].decode(errors='replace')}")
        return read_metadata(text)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise _no_model(address, str(error)) from error
    finally:
        connection.close()


def _no_model(address: ServerAddress, found: str) -> AutotuneError:
    where = f"http://{address.host}:{address.port}{address.path}"
    return AutotuneError(
        f"expected a server with the Open Inference Protocol (KServe v2) at {where}; found {found}",
        code="AT744",
    )


def _connection(stack: ExitStack, endpoint: Endpoint) -> Connection:
    body, headers = _request(endpoint)
    found = Connection(endpoint.address, body, headers)
    stack.callback(found.close)
    found.open()
    return found


@cache
def _request(endpoint: Endpoint) -> tuple[bytes, dict[str, str]]:
    inputs = endpoint.inputs or inputs_of(endpoint.address)
    return infer_request(inputs, draw(inputs, _SEED))
