"""`autotune watch`: the pages of a job in a browser, while it runs and afterwards."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.console import tell
from search_spaces import Misuse


def watch(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The output folder of a job, or a tuning log alone.")
    ],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to serve; 0 for any port that is free.")
    ] = 8765,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a job in a browser on this machine, while it runs and afterwards; until Ctrl-C."""
    from autotune.service.watch.job_place import find_job
    from autotune.service.watch.job_reader import JobReader

    reader = JobReader(find_job(folder))
    reader.begin()
    try:
        from autotune.service.watch.server import serve  # the web server is an extra
    except ModuleNotFoundError as error:
        raise Misuse(
            f"expected the packages of the service, found no {error.name}; "
            "install them with: pip install 'autotune[service]'",
            code="AT802",
        ) from error

    def ready(address: str) -> None:
        tell(f"{address} shows {folder} until Ctrl-C")
        if open:
            webbrowser.open(address)

    serve(reader, port, ready)
