"""The status of a job in a terminal: a line of figures, and the tables of how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.cli.console import tell
from autotune.cli.tables import print_table
from autotune.jobs.durations import show_duration, show_secs
from autotune.jobs.status import JobState, JobStatus, ModelStatus, TaskStatus
from autotune.jobs.status_tables import model_table, offer_table, task_table, warnings
from search_spaces.printable_text import counted
from tuning_logs.address import without_password
from tuning_logs.selection.significance import is_significant

# Tasks that a line names.
_MOST_NAMES = 5


def summary(status: JobStatus) -> str:
    """Time, trials, the models' estimated latencies, what is left, what fails, on one line."""
    begun = [one for one in status.tasks if one.best_secs is not None]
    budget = "" if status.budget.secs is None else f" of {show_duration(status.budget.secs)}"
    trials = "" if status.budget.trials is None else f" of {status.budget.trials}"
    parts = [
        f"{show_duration(status.secs)}{budget}",
        f"{status.trials}{trials} trials",
        f"{len(begun)}/{len(status.tasks)} tasks",
        *map(_estimate, status.models),
    ]
    if status.state is JobState.RUNNING:
        parts.append(
            "ETA unknown yet" if status.eta_secs is None else f"ETA {show_duration(status.eta_secs)}"
        )
        if status.expected_gain_per_hour is not None:
            parts.append(f"another hour: {status.expected_gain_per_hour:.1%} faster")
    searched = [one for one in status.tasks if one.calls and one.trials]
    if searched and status.state is not JobState.RUNNING:
        share = sum(one.improvements for one in searched) / sum(one.trials for one in searched)
        parts.append(f"{share:.0%} of trials improved on the best")
    if status.failures:
        counts = sorted(status.failures.items(), key=lambda one: -one[1])
        parts.append("failed: " + ", ".join(f"{kind} {count}" for kind, count in counts))
    if status.crashes:
        parts.append(f"{status.crashes} crashed their worker")
    parts.extend(
        f"{one.name} {one.slowdown:.1f}× slower than usual" for one in status.devices if one.slowdown > 1.1
    )
    return " · ".join(part for part in parts if part)


def print_tables(status: JobStatus) -> None:
    """Prints the tasks, the models that are or will be measured as a whole, and the devices compared."""
    print_table(task_table(status))
    if any(one.path for one in status.models):
        print_table(model_table(status))
    if (offers := offer_table(status)) is not None:
        print_table(offers)


def print_warnings(status: JobStatus) -> None:
    """Prints the warnings of a job, one a line."""
    for warning in warnings(status):
        tell(warning, style="yellow")


def print_status(status: JobStatus) -> None:
    """Prints how a job ended."""
    print_tables(status)
    for one in status.models:
        if one.before and one.library:
            tell(f"{one.name}: {one.library}")
    decided = [one.winner_p_value for one in status.tasks if one.winner_p_value is not None]
    if decided:
        clear = sum(is_significant(p_value) for p_value in decided)
        tell(
            f"finalists of {counted(len(decided), 'task')} were measured again: {clear} winners are faster than the "
            "next beyond luck, the others are as fast as it, as far as can be told"
        )
    print_warnings(status)
    if status.state is JobState.FINISHED:
        _print_untuned([task for task in status.tasks if task.best_secs is None])
    tell(f"{summary(status)} → {without_password(status.log)}")


def _print_untuned(tasks: Sequence[TaskStatus]) -> None:
    """Prints a line for each task whose default schedule failed, and one for all that the budget did not reach."""
    for task in tasks:
        if task.trials:
            tell(f"{task.name} was not tuned: its default schedule did not run", style="yellow")
    missed = [task.name for task in tasks if not task.trials]
    if missed:
        names = ", ".join(missed[:_MOST_NAMES]) + (" …" if len(missed) > _MOST_NAMES else "")
        tell(f"{len(missed)} tasks were not reached by the budget: {names}", style="yellow")


def _estimate(model: ModelStatus) -> str:
    if model.estimated_secs is None or model.estimated_start_secs is None:
        return ""
    name = f"{model.name} " if model.path else ""
    return f"{name}estimated {show_secs(model.estimated_secs)}, was {show_secs(model.estimated_start_secs)}"
