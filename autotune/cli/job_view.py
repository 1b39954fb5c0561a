"""A job's status as people read it: one line, a table of tasks, a table of models."""

from __future__ import annotations

from rich.table import Table

from autotune.cli.console import OUT, table
from autotune.cli.values import show_secs
from autotune.jobs.device_choice import verdict
from autotune.jobs.durations import show_duration
from autotune.jobs.status import JobState, JobStatus, Latency, ModelStatus, Offer, TaskStatus


def summary(status: JobStatus) -> str:
    """Where the job stands: time, trials, the models' estimated latencies, what is left, what fails."""
    begun = [one for one in status.tasks if one.best_secs is not None]
    budget = "" if status.budget.secs is None else f" of {show_duration(status.budget.secs)}"
    trials = "" if status.budget.trials is None else f" of {status.budget.trials}"
    device_runs = [
        f"{show_duration(status.secs)}{budget}",
        f"{status.trials}{trials} trials",
        f"{len(begun)}/{len(status.tasks)} tasks",
        *map(_estimate, status.models),
    ]
    if status.state is JobState.RUNNING:
        device_runs.append(
            "ETA unknown yet" if status.eta_secs is None else f"ETA {show_duration(status.eta_secs)}"
        )
        if status.expected_gain_per_hour is not None:
            device_runs.append(f"another hour: {status.expected_gain_per_hour:.1%} faster")
    if status.failures:
        counts = sorted(status.failures.items(), key=lambda one: -one[1])
        device_runs.append("failed: " + ", ".join(f"{kind} {count}" for kind, count in counts))
    if status.crashes:
        device_runs.append(f"{status.crashes} crashed their worker")
    device_runs.extend(
        f"{one.name} {one.slowdown:.1f}× slower than usual" for one in status.devices if one.slowdown > 1.1
    )
    return " · ".join(part for part in device_runs if part)


def task_table(status: JobStatus, rows: int | None = None) -> Table:
    """The tasks, the one with the most time in it first; rows: show no more than so many."""
    several = len(status.devices) > 1
    ranked = sorted(status.tasks, key=lambda one: -one.calls * (one.best_secs or 0.0))
    lines = [_row(one, several) for one in ranked[:rows]]
    if rows is not None and len(ranked) > rows:
        lines.append([f"… and {len(ranked) - rows} lighter tasks", *[""] * 7])
    columns = ["task", "calls", "trials", "default", "best", "gain", "GFLOP/s", "state"]
    found = table(f"{status.name}: {status.activity}", columns, lines)
    found.columns[-1].no_wrap = True
    return found


def model_table(status: JobStatus) -> Table:
    """The models: what was measured of them as a whole, and what the tasks add up to."""
    rows = [
        [
            f"{one.name} on {one.device}" if len(status.devices) > 1 else one.name,
            _interval(one.before),
            _interval(one.after),
            f"{one.before.secs / one.after.secs:.2f}×" if one.before and one.after else "–",
            "–" if one.estimated_start_secs is None else show_secs(one.estimated_start_secs),
            "–" if one.estimated_secs is None else show_secs(one.estimated_secs),
        ]
        for one in status.models
    ]
    columns = ["model", "before", "after", "faster by", "tasks untuned", "tasks now"]
    return table("Models: measured as a whole, and the sums of their tasks", columns, rows)


def offer_table(status: JobStatus) -> Table | None:
    """What each model costs where, and which device is chosen; None where there is nothing to choose or to pay."""
    offers = status.offers
    is_choice = len({one.connection for one in offers}) > 1
    if not is_choice and not any(one.price_per_hour or one.needed_secs for one in offers):
        return None
    rows = [
        [
            one.model,
            one.device,
            _latency(one),
            "–" if one.price_per_hour is None else f"{one.price_per_hour:g}",
            "–" if one.price_per_million is None else f"{one.price_per_million:.3g}",
            "–" if one.needed_secs is None else show_secs(one.needed_secs),
            verdict(one),
        ]
        for one in offers
    ]
    columns = ["model", "device", "latency", "price per hour", "per million runs", "needed", "verdict"]
    return table("Devices compared: the cheapest that is fast enough", columns, rows)


def print_status(status: JobStatus) -> None:
    """Prints how a job ended."""
    OUT.print(task_table(status))
    if any(one.before for one in status.models):
        OUT.print(model_table(status))
        for one in status.models:
            if one.library:
                OUT.print(f"{one.name}: {one.library}", highlight=False)
    if (offers := offer_table(status)) is not None:
        OUT.print(offers)
    decided = [one.winner_p_value for one in status.tasks if one.winner_p_value is not None]
    if decided:
        clear = sum(p_value < 0.05 for p_value in decided)
        OUT.print(
            f"finalists of {len(decided)} tasks were measured again: {clear} winners are faster than the "
            "next beyond luck, the others are as fast as it, as far as can be told"
        )
    for warning in [*(one.warning for one in status.devices), *status.warnings]:
        if warning:
            OUT.print(f"[yellow]{warning}[/yellow]", highlight=False)
    for task in status.tasks:
        if task.best_secs is None and status.state is JobState.FINISHED:
            OUT.print(f"[yellow]{task.name} was not tuned: its default schedule did not run[/yellow]")
    OUT.print(f"{summary(status)} → {status.log}", highlight=False)


def _latency(one: Offer) -> str:
    if one.secs is None:
        return "–"
    return show_secs(one.secs) if one.is_measured else f"{show_secs(one.secs)} (estimated)"


def _estimate(model: ModelStatus) -> str:
    if model.estimated_secs is None or model.estimated_start_secs is None:
        return ""
    name = f"{model.name} " if model.path else ""
    return f"{name}estimated {show_secs(model.estimated_secs)}, was {show_secs(model.estimated_start_secs)}"


def _row(one: TaskStatus, with_device: bool) -> list[str]:
    name = f"{one.name} on {one.device}" if with_device else one.name
    if one.best_secs is None or one.default_secs is None:
        return [name, str(one.calls), str(one.trials), "–", "–", "–", "–", one.state]
    return [
        name,
        str(one.calls),
        str(one.trials),
        show_secs(one.default_secs),
        show_secs(one.best_secs),
        f"{one.default_secs / one.best_secs:.1f}×",
        f"{one.flops / one.best_secs / 1e9:.1f}" if one.flops else "–",
        one.state,
    ]


def _interval(latency: Latency | None) -> str:
    if latency is None:
        return "–"
    return f"{show_secs(latency.secs)} ({show_secs(latency.low_secs)} to {show_secs(latency.high_secs)})"
