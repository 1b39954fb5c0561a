"""`autotune log show` and `best`: the contents of a log, and the fastest schedules in it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from autotune.cli.arguments import JsonOption
from autotune.cli.console import tell
from autotune.cli.log_arguments import LogArgument, matching_device, read
from autotune.cli.rows import CsvOption, Format, chosen_format, print_rows
from search_spaces import Misuse
from search_spaces.printable_text import counted
from tuning_logs import RecordStore, Timing, TuningRecord
from tuning_logs.address import without_password
from tuning_logs.records.trial_counts import TrialCounts

# The columns from the most to the least important.
_ORDER = (
    "task",
    "best_secs",
    "trials",
    "failures",
    "gflops_per_sec",
    "calls",
    "config",
    "key",
    "device",
    "target",
)

FromOption = Annotated[
    str | None, typer.Option("--device", metavar="KEY", help="Only records of this device, by key or name.")
]


def show(log: LogArgument, json: JsonOption = False, csv: CsvOption = False) -> None:
    """List tasks and devices of a log: how many trials, the best of them, and failures by kind."""
    format = chosen_format(json=json, csv=csv)
    store = read(log)
    outcomes = store.trial_counts()
    rows = [_row(store, each) for each in outcomes]
    failures: Counter[str] = Counter()
    for each in outcomes:
        failures.update(each.failures)
    devices = [
        {"key": device.key, "name": device.name, "facts": dict(device.facts)} for device in store.devices()
    ]
    jobs = [
        {
            "id": job.id,
            "started": job.started,
            "sampler": job.sampler,
            "seed": job.seed,
            "versions": dict(job.versions),
        }
        for job in store.jobs()
    ]
    damage = [{"line": each.line, "reason": each.reason} for each in store.damage]
    facts = {
        "log": log,
        "records": len(store),
        "failures": dict(failures),
        "devices": devices,
        "jobs": jobs,
        "damage": damage,
    }
    print_rows(
        format,
        f"{without_password(log)}: {counted(len(store), 'record')} of {counted(len(store.tasks()), 'task')}",
        rows,
        _ORDER,
        facts,
    )
    if format is Format.TABLE:
        for device in store.devices():
            facts_text = ", ".join(f"{name} {value}" for name, value in device.facts.items())
            tell(f"device {device.key}: {device.name} ({facts_text})")
        for job in store.jobs():
            tell(f"job {job.id}: {job.sampler}, seed {job.seed}, {job.started}")


def best(
    log: LogArgument,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="KEY", help="One task, by the start of its key or by name."),
    ] = None,
    device: FromOption = None,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Print the fastest schedule of every task and device, or of one."""
    format = chosen_format(json=json, csv=csv)
    store = read(log)
    only = matching_device(store, device)
    rows = []
    for each in store.trial_counts():
        if (task is None or each.task.key.startswith(task) or each.task.name == task) and (
            only is None or each.device.key == only
        ):
            record = store.best(each.task, each.device)
            if record is not None:
                rows.append(_best_row(record))
    if not rows:
        raise Misuse(
            f"expected a task with a record that ran, found none in {without_password(log)}"
            + (f" for {task}" if task else ""),
            code="AT211",
        )
    print_rows(format, f"The best of {without_password(log)}", rows, _ORDER)


def _row(store: RecordStore, outcomes: TrialCounts) -> dict[str, object]:
    task = outcomes.task
    best = store.best(task, outcomes.device)
    return {
        "task": task.name,
        "key": task.key,
        "target": str(task.target),
        "device": outcomes.device.key,
        "calls": task.weight,
        "trials": outcomes.trials,
        "best_secs": None if best is None else best.secs,
        "gflops_per_sec": None
        if best is None or not task.workload.flops
        else task.workload.flops / best.secs / 1e9,
        "failures": outcomes.failures,
    }


def _best_row(record: TuningRecord) -> dict[str, object]:
    assert isinstance(record.measurement, Timing)
    return {
        "task": record.task.name,
        "key": record.task.key,
        "target": str(record.task.target),
        "device": record.device.key,
        "best_secs": record.secs,
        "repeats": len(record.measurement.run_secs),
        "space": record.space_version,
        "job": record.provenance.job.id,
        "trial": record.provenance.trial,
        "config": {
            name: list(answer) if isinstance(answer, tuple) else answer for name, answer in record.config
        },
    }
