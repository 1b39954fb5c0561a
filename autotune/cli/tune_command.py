"""`autotune tune`: searches, measures, and writes the log."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from autotune.budget import Budget
from autotune.cli.console import ERR, OUT, print_json, table
from autotune.cli.options import parse_secs, show_secs
from autotune.cli.stop_signal import StopSignal
from autotune.cli.subject import (
    DeviceOption,
    JsonOption,
    OperatorOption,
    OptionalModelArgument,
    ShapeOption,
    read_tasks,
)
from autotune.cli.tuning_progress import TuningProgress
from autotune.device import parse_device
from autotune.job import TuningJob
from autotune.samplers import SamplerKind, sampler_factory
from autotune.tuner import Tuner
from search_spaces import AutotuneError, Misuse, TuningTask
from tuning_logs import Failure, Timing, TuningLog

# What a shell expects of a command that Ctrl-C ended.
_INTERRUPTED = 130
_NEVER = float("inf")


def tune(
    model: OptionalModelArgument = None,
    op: OperatorOption = None,
    device: DeviceOption = "local",
    log: Annotated[Path, typer.Option("--log", metavar="FILE.jsonl", help="Where records go.")] = Path(
        "logs/tuning.jsonl"
    ),
    time: Annotated[str | None, typer.Option("--time", help="How long: 90s, 5m, 8h.")] = None,
    trials: Annotated[int | None, typer.Option("--trials", help="How many candidates to measure.")] = None,
    sampler: Annotated[
        SamplerKind, typer.Option("--sampler", help="How to explore.")
    ] = SamplerKind.COST_MODEL,
    batch: Annotated[int, typer.Option("--batch", help="Candidates per round.")] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Decides every random choice of the search.")] = 0,
    shape: ShapeOption = None,
    json: JsonOption = False,
) -> None:
    """Tune a model, or one operator, on a device. Ctrl-C stops; what was measured is in the log, and the same
    command goes on from there."""
    if time is None and trials is None:
        raise Misuse("say how long to tune: --time 5m, --trials 200, or both; found neither")
    budget = Budget(trials, None if time is None else parse_secs(time))
    where = parse_device(device)
    tasks = read_tasks(model, op, shape, where.target)
    job = TuningJob(
        tasks, where, budget, seed, batch, sampler=sampler_factory(sampler), sampler_name=sampler.value
    )
    with TuningLog.open(log) as records:
        _warn_of_strangers(records, tasks)
        tuner = Tuner(job, records)
        was_interrupted = _run(tuner)
        summary = _summary(tuner, records)
    if json:
        print_json(summary)
    else:
        _print(tuner, summary, log)
    if not any(min(one.best_secs, default=_NEVER) < _NEVER for one in tuner.progress.values()):
        raise AutotuneError(
            f"expected at least one candidate to run, found none that did: {_why(tuner, summary)}"
        )
    if was_interrupted:
        raise typer.Exit(_INTERRUPTED)


def _run(tuner: Tuner) -> bool:
    rounds = tuner.rounds()
    stop = StopSignal(tuner.stop)
    try:
        with stop, TuningProgress(tuner, ERR) as progress:
            for records in rounds:
                progress.update(records)
    except KeyboardInterrupt:
        pass  # the second Ctrl-C: the round under way is given up
    finally:
        rounds.close()  # ends the worker processes, whatever ended the loop
    return stop.was_received


def _summary(tuner: Tuner, log: TuningLog) -> dict[str, object]:
    device = tuner.job.device.fingerprint
    rows, failures = [], Counter[str]()
    for task in tuner.job.tasks:
        records = log.where(task=task, device=device)
        failures.update(f"{r.measurement.kind}" for r in records if isinstance(r.measurement, Failure))
        best = log.best(task, device)
        progress = tuner.progress.get(task)
        rows.append(
            {
                "name": task.name,
                "key": task.key,
                "weight": task.weight,
                "records": len(records),
                "default_secs": progress.default_secs if progress else None,
                "best_secs": best.secs if best and isinstance(best.measurement, Timing) else None,
                "winner_p_value": tuner.verdicts[task].p_value if task in tuner.verdicts else None,
                "failure": next(
                    (r.measurement.message for r in records if isinstance(r.measurement, Failure)), None
                ),
            }
        )
    return {
        "device": device.name,
        "target": str(tuner.job.device.target),
        "sampler": tuner.job.sampler_name,
        "seed": tuner.job.seed,
        "elapsed_secs": tuner.elapsed_secs,
        "trials": tuner.trials,
        "failures": dict(failures),
        "machine": tuner.pace.warning,
        "tasks": rows,
    }


def _print(tuner: Tuner, summary: dict[str, object], log: Path) -> None:
    rows = []
    for one in sorted(tuner.progress.values(), key=lambda one: -one.task.weight * one.best):
        gain = one.default_secs / one.best
        rows.append(
            [
                one.task.name,
                str(one.task.weight),
                str(one.trials),
                show_secs(one.default_secs),
                show_secs(one.best),
                f"{gain:.1f}×",
                f"{one.task.workload.flops / one.best / 1e9:.1f}",
            ]
        )
    columns = ["task", "calls", "trials", "default", "best", "gain", "GFLOP/s"]
    OUT.print(table(f"{tuner.trials} trials in {tuner.elapsed_secs:.0f} s → {log}", columns, rows))
    if tuner.verdicts:
        clear = sum(verdict.is_clear for verdict in tuner.verdicts.values())
        OUT.print(
            f"finalists of {len(tuner.verdicts)} tasks were measured again: {clear} winners are faster than the "
            "next beyond luck, the others are as fast as it, as far as can be told"
        )
    if tuner.pace.warning:
        OUT.print(f"[yellow]{tuner.pace.warning}[/yellow]")
    for task in _without_baseline(tuner):
        OUT.print(f"[yellow]{task.name} was not tuned: its default schedule did not run[/yellow]")
    if summary["failures"]:
        OUT.print(f"failed candidates: {_why(tuner, summary)}")


def _without_baseline(tuner: Tuner) -> list[TuningTask]:
    return [task for task in tuner.job.tasks if task not in tuner.progress]


def _why(tuner: Tuner, summary: dict[str, object]) -> str:
    failures = summary["failures"]
    assert isinstance(failures, dict)
    counts = ", ".join(f"{kind} {count}" for kind, count in failures.items())
    return counts or f"the budget ended after {tuner.elapsed_secs:.1f} s, before the first; give it more"


def _warn_of_strangers(log: TuningLog, tasks: tuple[TuningTask, ...]) -> None:
    for damage in log.damage:
        ERR.print(f"[yellow]line {damage.line} of the log was skipped: {damage.reason}[/yellow]")
    targets = {str(task.target) for task in log.tasks()}
    wanted = str(tasks[0].target)
    if targets and wanted not in targets:
        ERR.print(
            f"[yellow]the log holds records for {', '.join(sorted(targets))} and none for {wanted}; "
            "they are kept, and the search starts afresh[/yellow]"
        )
