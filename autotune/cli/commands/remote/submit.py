"""`autotune remote submit`: models uploaded to a service, and a job with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import note, print_json, warn
from autotune.cli.remote_view import print_job, print_model, print_results
from autotune.cli.service_arguments import LOCAL_URL, TokenOption, UrlOption, client_of
from autotune.service.documents import JobOrder, ModelOrder, ModelState, Needs
from autotune.service.refusals import refused
from search_spaces import Misuse


def submit(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Model files, or archives (.zip).")
    ],
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="A device of the service; repeatable; default: local."),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="The budget of running, as in 30m or 8h.")
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="The budget in trials.")] = None,
    latency_ms: Annotated[
        float | None, typer.Option("--latency-ms", help="The latency that is needed.")
    ] = None,
    throughput: Annotated[
        float | None, typer.Option("--throughput", help="Inferences a second that are needed.")
    ] = None,
    dollars: Annotated[
        float | None, typer.Option("--dollars", help="The most that a million inferences may cost.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine", metavar="NAME", help="Compare with onnxruntime, say, at the end; repeatable."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the job, and show its results.")] = False,
    url: UrlOption = LOCAL_URL,
    token: TokenOption = None,
    json: JsonOption = False,
) -> None:
    """Upload models, show what is known of them, and queue a job."""
    if time is None and trials is None:
        raise Misuse("a job needs a budget: --time 30m, --trials 200, or both; found neither", code="AT505")
    needs = Needs(latency_ms, throughput, dollars)
    with client_of(url, token) as client:
        uploaded = [client.examined(client.upload(path).id) for path in models]
        for model in uploaded:
            if not json:
                print_model(model)
            if model.state is ModelState.REFUSED:
                raise refused(model.name, model.examination.refusal)
            for notice in model.examination.notices:
                warn(notice)
        orders = tuple(ModelOrder(model.id, needs=needs) for model in uploaded)
        engines = tuple(dict.fromkeys(engine or ()))
        job = client.submit(JobOrder(orders, tuple(device or ("local",)), time, trials, engines=engines))
        if not wait:
            print_json(msgspec.to_builtins(job)) if json else print_job(job)
            return
        note(f"job {job.id} is queued")
        results = client.wait(job.id)
        print_json(msgspec.to_builtins(results)) if json else print_results(results)
