"""`autotune serve-device`: this machine as a board that others tune on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from autotune.boards import program
from autotune.boards.entrance import require_protection
from autotune.cli.console import warn
from autotune.devices.rpc_tracker import parse_address
from autotune.transport.identity import read_identity


def serve_device(
    tracker: Annotated[str, typer.Option("--tracker", metavar="HOST:PORT", help="The RPC tracker.")],
    key: Annotated[str, typer.Option("--key", help="What boards like this one are called.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients connect; port 0 is any.")
    ] = "127.0.0.1:0",
    identity: Annotated[
        Path | None,
        typer.Option("--identity", metavar="FOLDER", help="Of this board, see autotune keys board: TLS."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option(program.INSECURE, help="Listen beyond loopback without an identity.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, max=4096, help="Default: as many as this process may run at once."),
    ] = None,
    gpu: Annotated[
        int | None, typer.Option("--gpu", min=0, max=4096, help="Serve this NVIDIA GPU instead.")
    ] = None,
    opencl: Annotated[
        int | None,
        typer.Option("--opencl", min=0, max=4096, help="Serve this OpenCL device instead, as clinfo counts."),
    ] = None,
    memory_mib: Annotated[
        int | None,
        typer.Option(
            "--memory-mib", min=64, max=1 << 30, help="What a session may use; default: half of all."
        ),
    ] = None,
) -> None:
    """Serve this device to an RPC tracker, until Ctrl-C. It listens on loopback, and elsewhere only with an identity:
    without one, whoever reaches the port runs programs here."""
    where = parse_address(listen)
    parse_address(tracker)
    own = read_identity(identity) if identity else None
    require_protection(where, own, None if insecure else program.INSECURE)
    if own is None and insecure:
        warn(f"listening on {where}: every machine that reaches it can run programs here")
    options = ["--tracker", tracker, "--key", key, "--listen", listen]
    options += ["--identity", str(identity)] if identity else []
    options += [program.INSECURE] if insecure else []
    options += ["--threads", str(threads)] if threads else []
    options += ["--memory-mib", str(memory_mib)] if memory_mib else []
    options += [] if gpu is None else ["--gpu", str(gpu)]
    options += [] if opencl is None else ["--opencl", str(opencl)]
    # TVM's runtime reads its settings when it loads, so the server is a program that starts without it.
    os.execv(sys.executable, [sys.executable, "-P", program.__file__, *options])
