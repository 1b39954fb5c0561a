"""`autotune serve`: the service, until Ctrl-C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import WorkersOption
from autotune.cli.console import note
from autotune.cli.service_arguments import DatabaseOption, ServiceFolderOption
from autotune.cluster.address import LOCAL, parse_workers
from autotune.models.extras import needing
from autotune.service.limits import ServiceLimits
from autotune.service.service_folder import ServiceFolder


def serve(
    folder: ServiceFolderOption = Path("service"),
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 is any that is free.")] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="HOST", help="A further host name under which it is reached; repeatable."
        ),
    ] = None,
    database: DatabaseOption = None,
    allow_anonymous: Annotated[
        bool,
        typer.Option("--allow-anonymous", help="Answer requests from loopback without a token."),
    ] = False,
    max_upload_mb: Annotated[
        int, typer.Option("--max-upload-mb", min=1, max=1 << 20, help="The largest model file.")
    ] = 4096,
    slots: Annotated[
        int, typer.Option("--slots", min=1, max=64, help="Jobs that run at once; they disturb each other.")
    ] = 1,
    workers: WorkersOption = None,
) -> None:
    """Serve a web interface to which models are uploaded and jobs submitted, until Ctrl-C. A server that was killed
    goes on where it was when it is started again with the same folder."""
    server = needing("service", "autotune.service.server", "to run the service")
    limits = replace(ServiceLimits(), upload_bytes=max_upload_mb << 20, slots=slots)
    settings = server.ServerSettings(
        ServiceFolder(folder), host, port, database, tuple(name or ()), allow_anonymous, limits
    )
    settings = replace(settings, workers=parse_workers(workers or LOCAL))
    server.serve(settings, note, _tell_token)


def _tell_token(secret: str) -> None:
    note(f"the first token, shown this once: {secret}", "bold")
