"""Options of the server's command line; environment variables give their defaults, as in a container."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .draining import Stop


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a server.

    threads:    for kernels of each instance, None for the model's own number within the processors;
    batch:      the most rows that requests are joined to for one run;
    queue:      the most requests that wait; connections: the most that are open, idle ones included;
    body_bytes: of a request at most, None for room for the model's inputs as JSON.
    """

    host: str
    port: int
    instances: int
    threads: int | None
    batch: int
    queue: int
    connections: int
    request_secs: float
    body_bytes: int | None
    stop: Stop


def read_options(arguments: Sequence[str], environment: Mapping[str, str], program: str) -> Options:
    """The options of a command line. Raises SystemExit, with a usage text, where one is wrong."""
    parser = argparse.ArgumentParser(
        program,
        description="Serves the packaged model: the Open Inference Protocol (/v2), Prometheus metrics (/metrics).",
        epilog="The environment variables SERVER_HOST, SERVER_PORT, SERVER_INSTANCES and so on give the defaults.",
        allow_abbrev=False,
    )

    def add(name: str, kind: Callable[[str], object], default: str | None, text: str) -> None:
        variable = f"SERVER_{name.upper().replace('-', '_')}"
        value = environment.get(variable) or default
        shown = "" if value is None else f" (default: {value.replace('%', '%%')})"
        parser.add_argument(f"--{name}", type=kind, default=value, help=text + shown)

    add("host", str, "127.0.0.1", "address to listen at; 0.0.0.0 for all networks")
    add("port", _whole(0, 65535), "8000", "port; 0 for a free one")
    add(
        "instances",
        _whole(1, 1024),
        "1",
        "requests that run at the same time, each in an instance of the model",
    )
    add(
        "threads",
        _whole(1, 1024),
        None,
        "kernel threads of each instance (default: as built, within the processors)",
    )
    add(
        "batch",
        _whole(1, 1024),
        "1",
        "rows of waiting requests that one run answers, where the model's first dimension is free",
    )
    add("queue", _whole(1, 100_000), "64", "requests that may wait for an instance; others are answered 503")
    add(
        "connections",
        _whole(1, 100_000),
        "1000",
        "open connections, idle ones too; further ones are answered 503",
    )
    add("timeout-secs", _seconds, "30", "time limit of a request, waiting included")
    add("max-body-mb", _seconds, None, "largest body of a request (default: room for the inputs as JSON)")
    add(
        "drain-secs",
        _not_negative,
        "0",
        "time to go on listening after SIGTERM, while /v2/health/ready says no",
    )
    add("shutdown-secs", _seconds, "30", "time for running requests after that")
    found = parser.parse_args(arguments)
    return Options(
        host=found.host,
        port=found.port,
        instances=found.instances,
        threads=found.threads,
        batch=found.batch,
        queue=found.queue,
        connections=found.connections,
        request_secs=found.timeout_secs,
        body_bytes=None if found.max_body_mb is None else int(found.max_body_mb * 1e6),
        stop=Stop(found.drain_secs, found.shutdown_secs),
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {least} to {most}; found {text!r}"
            )
        return int(text)

    return read


def _not_negative(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number from 0 on; found {text!r}")
    return found


def _seconds(text: str) -> float:
    found = _not_negative(text)
    if found == 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0; found {text!r}")
    return found
