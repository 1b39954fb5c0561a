"""Graceful stop: readiness turns false first, the server accepts requests a while longer, and running ones finish."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from dataclasses import dataclass
from types import FrameType

import uvicorn
from starlette.applications import Starlette

_log = logging.getLogger("uvicorn.error")


@dataclass(slots=True)
class Readiness:
    """Readiness for requests, which a signal takes away."""

    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """Times of a graceful stop.

    drain_secs:  from the signal to the end of listening, so that load balancers see that the server is not ready;
    finish_secs: from then on, for requests that run.
    """

    drain_secs: float
    finish_secs: float


class DrainingServer(uvicorn.Server):
    """Uvicorn's server, which a first SIGTERM or SIGINT stops gracefully and a second one at once.

    Uvicorn itself ends its process by the signal; here the caller says the exit code.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_secs: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_secs = drain_secs
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until a signal comes."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal."""
        if not self._readiness.is_ready:
            self.should_exit = self.force_exit = True
            return
        self._readiness.is_ready = False
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)

    def _drain(self, name: str) -> None:
        _log.info("%s: not ready any more; listens for another %g s", name, self._drain_secs)
        assert self._loop is not None
        self._loop.call_later(self._drain_secs, self._stop_listening)

    def _stop_listening(self) -> None:
        self.should_exit = True


def serve(
    app: Starlette, address: tuple[str, int], connections: int, readiness: Readiness, stop: Stop
) -> None:
    """Serves an application at a host and port until a signal stops it.

    connections: the most that are open. Raises SystemExit, after a line in the log, where it cannot listen.
    """
    config = uvicorn.Config(
        app,
        host=address[0],
        port=address[1],
        access_log=False,
        # Uvicorn counts the connection that asks.
        limit_concurrency=connections + 1,
        lifespan="on",
        timeout_graceful_shutdown=max(round(stop.finish_secs), 1),
        server_header=False,
        ws="none",
    )
    DrainingServer(config, readiness, stop.drain_secs).run()
