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
from search_spaces import Misuse


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
    name: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="One of the downloads that results lists.")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="FORM", help="Build a wheel, an archive or a server; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="With --as: its name in the job; default: the first.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="With --as: a device of the job; default: the first.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A file; with --as a folder. Default: the same name here."
        ),
    ] = None,
    url: UrlOption = LOCAL_URL,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch a file of a job, as a library, the log or the report; or have packages built of it and fetch these."""
    if (name is None) == (not form):
        raise Misuse(
            "expected the name of a file, or --as with a form of package; found both or neither", code="AT747"
        )
    with client_of(url, token) as client:
        if name is not None:
            path = client.download(job, name, output or Path(Path(name).name))
            tell(f"{path}: {path.stat().st_size} bytes")
            return
        ordered = [client.package(job, each, model, device) for each in dict.fromkeys(form or ())]
        built = [client.packaged(each) for each in ordered]
        folder = output or Path()
        folder.mkdir(parents=True, exist_ok=True)
        paths = [client.download_package(each, folder) for each in built]
    if json:
        print_json(msgspec.to_builtins(built))
        return
    for path in paths:
        tell(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


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
