"""Serving a job's pages on this machine until a signal ends it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import uvicorn

from autotune.service.listening import listen
from autotune.service.watch.application import make_application
from autotune.service.watch.job_reader import JobReader
from search_spaces import Misuse

HOST = "127.0.0.1"
# A job beside it goes first.
_NICENESS = 10


def serve(reader: JobReader, port: int, ready: Callable[[str], None]) -> None:
    """Serves pages until SIGINT or SIGTERM. port: 0 for any that is free; ready: told the address once it answers.

    Raises Misuse where the port is taken, and where there is a log alone that cannot be read.
    """
    facts = reader.facts()
    if facts.log.trouble and not facts.has_status and not facts.trouble:
        raise Misuse(facts.log.trouble, code="AT201")
    listener = listen(HOST, port)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    config = uvicorn.Config(
        make_application(reader),
        log_level="critical",  # of streams that end with the server, uvicorn would tell as of errors
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
        server_header=False,
        h11_max_incomplete_event_size=16 << 10,
        limit_concurrency=64,
    )
    ready(f"http://{HOST}:{listener.getsockname()[1]}/")
    with listener, contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
