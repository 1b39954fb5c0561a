"""`autotune tune`: searches, measures, and writes the log; the short form of a job with one model."""

from __future__ import annotations

import os
import time as clock
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    LogOption,
    MaxMbOption,
    OperatorOption,
    OptionalModelArgument,
    SamplesOption,
    SeedOption,
    ShapeOption,
    WorkersOption,
)
from autotune.cli.console import print_json
from autotune.cli.job_run import check_success, run_with_progress
from autotune.cli.job_view import print_status
from autotune.cli.values import check_choice, parse_dims, parse_shapes
from autotune.cluster.address import LOCAL, parse_workers
from autotune.cluster.opening import open_workers
from autotune.devices.connection import Clustered, parse_connection
from autotune.devices.device_file import read_devices
from autotune.devices.device_url import parse_device
from autotune.jobs.durations import parse_secs
from autotune.jobs.job_file import JobRequest, ModelRequest
from autotune.jobs.plan import JobPlan, PlannedModel, plan_job, reach, share_out
from autotune.jobs.status import JobStatus
from autotune.models.operators import operator_task
from autotune.runners.workers import Workers
from autotune.search.pretrained_model import NO_MODEL, SHIPPED
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.limits import MOST_BATCH, MOST_ROUNDS_AT_ONCE, MOST_TRIALS
from autotune.workers.fork_server import ForkServer
from search_spaces import Misuse, TuningTask
from search_spaces.config import baseline_config
from tuning_logs import DeviceFingerprint, Failure, RecordStore, Timing, TuningRecord
from tuning_logs.selection.ranking import with_all_repeats


def tune(
    context: typer.Context,
    model: OptionalModelArgument = None,
    op: OperatorOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    log: LogOption = "logs/tuning.jsonl",
    time: Annotated[str | None, typer.Option("--time", help="How long: 90s, 5m, 8h.")] = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, max=MOST_TRIALS, help="How many candidates to measure."),
    ] = None,
    until_gain: Annotated[
        float | None,
        typer.Option(
            "--until-gain",
            metavar="SHARE",
            help="Stop when another hour is expected to bring no more than this share: 0.01.",
        ),
    ] = None,
    sampler: Annotated[
        SamplerKind, typer.Option("--sampler", help="How to explore.")
    ] = SamplerKind.COST_MODEL,
    cost_model: Annotated[
        str | None,
        typer.Option(
            "--cost-model",
            metavar="FILE|none",
            help="A trained model that guides the search from the first trial on; by default the one that ships "
            "for such a device, if any.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=MOST_BATCH, help="The most candidates per round.")
    ] = 16,
    rounds_at_once: Annotated[
        int,
        typer.Option(
            "--rounds-at-once",
            min=1,
            max=MOST_ROUNDS_AT_ONCE,
            help="Rounds of one task that a cluster has under way; the second does not know the first one's outcome.",
        ),
    ] = 1,
    seed: SeedOption = 0,
    shape: ShapeOption = None,
    dim: DimOption = None,
    max_mb: MaxMbOption = None,
    samples: SamplesOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="A folder for status, builds from before and after, and all that a report needs. "
            "With it, the same command goes on with what is left of its budget.",
        ),
    ] = None,
    dashboard: Annotated[
        str | None,
        typer.Option("--dashboard", metavar="URL", help="An Optuna storage to copy the studies to."),
    ] = None,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Tune a model, or one operator, on a device. Ctrl-C stops; what was measured is in the log, and the same
    command goes on from there."""
    started = clock.monotonic()
    if time is None and trials is None and until_gain is None:
        raise Misuse(
            "say how long to tune: --time 5m, --trials 200, --until-gain 0.01, or several; found none",
            code="AT505",
        )
    described = {one.name: one for one in read_devices(devices)} if devices else {}
    address = parse_workers(workers or LOCAL)
    if devices is None:
        if address.is_local or not isinstance(parse_connection(device), Clustered):
            parse_device(device)
    elif device not in described:
        raise Misuse(
            f"expected one of the devices of {devices}: {', '.join(described)}; found {device!r}",
            code="AT403",
        )
    check_choice(model, op)
    sampler_factory(sampler)  # says now what the sampler lacks
    budget = Budget(trials, None if time is None else parse_secs(time), until_gain)
    name = op or (model.stem if model else "")
    shapes, dims = parse_shapes(shape or []), parse_dims(dim or [])
    models: tuple[ModelRequest, ...] = ()
    if model is not None:
        given = tuple(samples or ())
        models = (
            ModelRequest(model, name, (device,), shapes=shapes, dims=dims, max_mb=max_mb, samples=given),
        )
    request = JobRequest(
        name,
        models,
        budget,
        log,
        output,
        seed,
        batch,
        sampler,
        dashboard=dashboard,
        described=described,
        cost_model=_cost_model(cost_model, sampler),
        workers=address,
        rounds_at_once=rounds_at_once,
    )
    with open_workers(address) as opened:
        plan = _plan(request, (op, device), context.obj, opened)
        result = run_with_progress(plan, started, context.obj, workers=opened)
    if json:
        print_json(_summary(request, result.status, result.log))
    else:
        print_status(result.status)
    check_success(result.status)


def _cost_model(text: str | None, sampler: SamplerKind) -> Path | None:
    if text is None or text == NO_MODEL:
        return SHIPPED if text is None else None
    if sampler is not SamplerKind.COST_MODEL:
        raise Misuse(
            f"a cost model guides the sampler {SamplerKind.COST_MODEL.value!r}, found {sampler.value!r}",
            code="AT602",
        )
    if not os.path.exists(text):
        raise Misuse(f"expected a cost model, or {NO_MODEL!r}; found nothing at {text}", code="AT301")
    return Path(text)


def _plan(
    request: JobRequest, chosen: tuple[str | None, str], server: ForkServer, workers: Workers | None
) -> JobPlan:
    op, device = chosen
    if op is None:
        return plan_job(request, server, workers)
    where = reach(request, device, server, workers)
    planned = share_out([(where, [PlannedModel(op, (operator_task(op, where.target),))])])
    return JobPlan(request, planned, notices=(where.notice,) if where.notice else ())


def _baseline(log: RecordStore, task: TuningTask, device: DeviceFingerprint | None) -> TuningRecord | None:
    return with_all_repeats(log, task, device, baseline_config(task.target))


def _summary(request: JobRequest, status: JobStatus, log: RecordStore) -> dict[str, object]:
    [device] = status.devices
    fingerprint = next((one for one in log.devices() if one.key == device.fingerprint), None)
    tasks = {task.key: task for task in log.tasks() if str(task.target) == device.target}
    rows, failures = [], Counter[str]()
    for one in status.tasks:
        records = log.where(task=tasks[one.key], device=fingerprint) if one.key in tasks else []
        best = log.best(tasks[one.key], fingerprint) if records else None
        default = _baseline(log, tasks[one.key], fingerprint) if records else None
        failed = [r.measurement for r in records if isinstance(r.measurement, Failure)]
        failures.update(str(failure.kind) for failure in failed)
        rows.append(
            {
                "name": one.name,
                "key": one.key,
                "weight": one.calls,
                "records": len(records),
                "default_secs": default.secs if default else None,
                "best_secs": best.secs if best and isinstance(best.measurement, Timing) else None,
                "winner_p_value": one.winner_p_value,
                "failure": failed[0].message if failed else None,
            }
        )
    return {
        "device": device.name,
        "target": device.target,
        "sampler": request.sampler.value,
        "seed": request.seed,
        "elapsed_secs": status.secs,
        "trials": status.trials,
        "failures": dict(failures),
        "machine": device.warning,
        "warnings": status.warnings,
        "tasks": rows,
    }
