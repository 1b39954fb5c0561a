"""`autotune remote`: jobs of a service followed, cancelled and gone on with; their results and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import note, print_json, tell
from autotune.cli.remote_view import job_line, print_job, print_jobs, print_results
from autotune.cli.service_arguments import LOCAL_URL, JobArgument, TokenOption, UrlOption, client_of


def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Default: the newest jobs.")] = None,
    url: UrlOption = LOCAL_URL,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Show the newest jobs, or where one job stands."""
    with client_of(url, token) as client:
        if job is None:
            page = client.jobs()
            print_json(msgspec.to_builtins(page)) if json else print_jobs(page)
            return
        found = client.job(job)
    print_json(msgspec.to_builtins(found)) if json else print_job(found)


def wait(
    job: JobArgument, url: UrlOption = LOCAL_URL, token: TokenOption = None, json: JsonOption = False
) -> None:
    """Wait for a job, and show its results."""
    with client_of(url, token) as client:
        for found in client.follow(job):
            note(job_line(found))
        results = client.results(job)
    print_json(msgspec.to_builtins(results)) if json else print_results(results)


def results(
    job: JobArgument, url: UrlOption = LOCAL_URL, token: TokenOption = None, json: JsonOption = False
) -> None:
    """Show what a job has found so far: each model on each device, held against its needs."""
    with client_of(url, token) as client:
        found = client.results(job)
    print_json(msgspec.to_builtins(found)) if json else print_results(found)


def package(
    job: JobArgument,
    name: Annotated[str, typer.Argument(metavar="FILE", help="One of the downloads that results lists.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: the same name here.")
    ] = None,
    url: UrlOption = LOCAL_URL,
    token: TokenOption = None,
) -> None:
    """Fetch a file of a job: a library, the log, the report."""
    with client_of(url, token) as client:
        path = client.download(job, name, output or Path(Path(name).name))
    tell(f"{path}: {path.stat().st_size} bytes")


def cancel(
    job: JobArgument, url: UrlOption = LOCAL_URL, token: TokenOption = None, json: JsonOption = False
) -> None:
    """Cancel a job that waits or runs; what it has found stays."""
    with client_of(url, token) as client:
        found = client.cancel(job)
    print_json(msgspec.to_builtins(found)) if json else print_job(found)


def again(
    job: JobArgument,
    time: Annotated[str | None, typer.Option("--time", help="More time, as in 30m.")] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="More trials.")] = None,
    url: UrlOption = LOCAL_URL,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Queue a job that is over with more time or trials; it goes on where it ended."""
    with client_of(url, token) as client:
        found = client.again(job, time, trials)
    print_json(msgspec.to_builtins(found)) if json else print_job(found)
