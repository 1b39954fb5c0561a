"""`autotune cost-model collect`: measures training data for cost models."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from autotune.cli.arguments import (
    DeviceOption,
    DevicesOption,
    DimOption,
    JsonOption,
    LogOption,
    OperatorOption,
    OptionalModelArgument,
    SeedOption,
    ShapeOption,
    WorkersOption,
)
from autotune.cli.console import ERR, print_json, tell, warn
from autotune.cli.inputs import fixed_sizes, reach_device, read_tasks
from autotune.cli.progress import LineProgress
from autotune.cli.stop_signal import StopSignal
from autotune.cluster.address import LOCAL, parse_workers
from autotune.cluster.opening import open_workers
from autotune.jobs.durations import parse_secs, show_secs
from autotune.tuning.budget import Budget
from autotune.tuning.collection import Collection
from autotune.tuning.limits import MOST_BATCH, MOST_TRIALS
from search_spaces import AutotuneError
from search_spaces.printable_text import counted
from tuning_logs import Failure, TuningRecord, open_log
from tuning_logs.address import without_password


def collect(
    trials: Annotated[
        int,
        typer.Option(
            "--trials",
            min=1,
            max=MOST_TRIALS,
            help="How many candidates to measure, those in the log included.",
        ),
    ],
    model: OptionalModelArgument = None,
    op: OperatorOption = None,
    device: DeviceOption = "local",
    devices: DevicesOption = None,
    log: LogOption = "logs/collected.jsonl",
    time: Annotated[str | None, typer.Option("--time", help="How long at most: 90s, 5m, 8h.")] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=MOST_BATCH, help="Candidates that are built at a time.")
    ] = 48,
    seed: SeedOption = 0,
    shape: ShapeOption = None,
    dim: DimOption = None,
    workers: WorkersOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a sample of a model's tasks to train a cost model on: every task alike, slow candidates included.

    Ctrl-C stops; the same command goes on from there."""
    with open_workers(parse_workers(workers or LOCAL)) as opened:
        where = reach_device(device, devices, opened)
        budget = Budget(trials, None if time is None else parse_secs(time))
        tasks = read_tasks(model, op, fixed_sizes(shape, dim), where.target)
        failures: Counter[str] = Counter()
        with open_log(log) as records_so_far:
            collection = Collection(tasks, where, records_so_far, budget, seed=seed, batch=batch)
            rounds = collection.rounds(opened)
            try:
                with StopSignal(collection.stop):
                    progress = LineProgress(ERR)
                    for records in rounds:
                        failures.update(_failures(records))
                        progress.show(_line(collection.trials, trials, records))
            finally:
                rounds.close()  # ends the worker processes, whatever ended the loop
            if collection.thread_warning:
                warn(collection.thread_warning)
            if not collection.trials:
                raise AutotuneError(
                    "expected at least one candidate to be measured, found that no task's untuned program ran: "
                    + ", ".join(f"{kind} {count}" for kind, count in failures.items()),
                    code="AT507",
                )
            found = {"tasks": len(tasks), "trials": collection.trials, "failures": dict(failures), "log": log}
    if json:
        print_json(found)
        return
    tell(f"{counted(collection.trials, 'trial')} of {counted(len(tasks), 'task')} → {without_password(log)}")


def _failures(records: list[TuningRecord]) -> list[str]:
    return [str(record.measurement.kind) for record in records if isinstance(record.measurement, Failure)]


def _line(done: int, wanted: int, records: list[TuningRecord]) -> str:
    best = show_secs(min(record.secs for record in records))
    failed = len(_failures(records))
    more = f", {failed} failed" if failed else ""
    return f"{done} of {wanted} trials · measured {len(records)} of {records[0].task.name}: best {best}{more}"
