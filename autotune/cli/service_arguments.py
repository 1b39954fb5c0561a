"""Options of the service's commands, and the client that they make."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.models.extras import needing

if TYPE_CHECKING:
    from autotune.service.client import Client

ServiceFolderOption = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="The service's store, models and jobs.")
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="AUTOTUNE_DATABASE",
        help="postgresql://…, or sqlite:///…; default: SQLite in the folder.",
    ),
]
UrlOption = Annotated[str, typer.Option("--url", envvar="AUTOTUNE_URL", help="Where the service listens.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="AUTOTUNE_TOKEN", help="A token of the service; better in AUTOTUNE_TOKEN."
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The id of a job.")]
LOCAL_URL = "http://127.0.0.1:8000"


def client_of(url: str, token: str | None) -> Client:
    """A client of the service at a URL. Raises AutotuneError where the package that it needs is missing."""
    module: ModuleType = needing("service", "autotune.service.client", "to reach a service")
    found: Client = module.Client(url, token)
    return found
