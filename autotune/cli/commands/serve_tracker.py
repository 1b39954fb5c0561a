"""`autotune serve-tracker`: TVM's tracker of boards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autotune.boards.entrance import require_protection
from autotune.boards.tracker import serve_tracker as serve
from autotune.cli.console import note, warn
from autotune.devices.rpc_tracker import Address, parse_address
from autotune.transport.identity import read_identity

_INSECURE = "--insecure-let-anyone-register-boards"


def serve_tracker(
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where boards and clients connect.")
    ] = "127.0.0.1:9190",
    identity: Annotated[
        Path | None,
        typer.Option("--identity", metavar="FOLDER", help="Of this tracker, see autotune keys tracker: TLS."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option(_INSECURE, help="Listen beyond loopback without an identity.")
    ] = False,
) -> None:
    """Serve the tracker, where boards register and clients ask for them, until Ctrl-C. It listens on loopback, and
    elsewhere only with an identity."""
    where = parse_address(listen)
    own = read_identity(identity) if identity else None
    require_protection(where, own, None if insecure else _INSECURE)
    if own is None and insecure:
        warn(f"listening on {where} without TLS: whoever reaches it can send clients to boards of their own")

    def ready(address: Address) -> None:
        note(f"the tracker listens on {address} {'in TLS' if own else 'without TLS'}, until Ctrl-C")

    serve(where, own, note, ready)
