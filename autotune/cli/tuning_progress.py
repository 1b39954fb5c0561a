"""The live view of a running job: tasks, trials, best so far, what remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autotune.cli.options import show_secs
from autotune.task_scheduler import TaskProgress
from autotune.tuner import Tuner
from tuning_logs import Failure, TuningRecord

# More rows than this do not fit a terminal: the heaviest tasks are shown.
_ROWS = 20


class TuningProgress:
    """Shows a tuner's rounds: a table that updates itself on a terminal, one line a round elsewhere."""

    def __init__(self, tuner: Tuner, console: Console) -> None:
        self._tuner = tuner
        self._console = console
        self._failures: Counter[str] = Counter()
        self._live = (
            Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )

    def __enter__(self) -> TuningProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, records: Sequence[TuningRecord]) -> None:
        """Takes in a round and shows where the job stands."""
        self._failures.update(
            str(record.measurement.kind) for record in records if isinstance(record.measurement, Failure)
        )
        if self._live:
            self._live.update(Group(self._summary(), self._table()), refresh=True)
        elif records:
            self._console.print(self._line(records), highlight=False)

    def _line(self, records: Sequence[TuningRecord]) -> str:
        names = ", ".join(dict.fromkeys(record.task.name for record in records))
        return f"{self._summary().plain} · measured {len(records)} of {names}"

    def _summary(self) -> Text:
        tuner, rows = self._tuner, list(self._tuner.progress.values())
        parts = [
            f"{tuner.elapsed_secs:.0f} s",
            f"{tuner.trials} trials",
            f"{len(rows)}/{len(tuner.job.tasks)} tasks",
        ]
        if rows:
            now, before = (sum(secs) for secs in zip(*map(_weighted, rows), strict=True))
            parts.append(f"estimated {show_secs(now)}, was {show_secs(before)}")
        parts.append(self._remaining())
        if self._failures:
            parts.append(
                "failed: " + ", ".join(f"{kind} {count}" for kind, count in self._failures.most_common())
            )
        if not self._tuner.pace.is_steady:
            parts.append(f"machine {self._tuner.pace.slowdown:.1f}× slower than usual")
        return Text(" · ".join(parts))

    def _remaining(self) -> str:
        """An estimate of the time left: what the budget says, or trials at the rate so far."""
        budget, tuner = self._tuner.job.budget, self._tuner
        secs = budget.secs_left(tuner.elapsed_secs)
        if budget.trials is not None and tuner.trials:
            secs = min(secs, budget.trials_left(tuner.trials) * tuner.elapsed_secs / tuner.trials)
        return "ETA unknown yet" if secs == float("inf") else f"ETA {max(secs, 0):.0f} s"

    def _table(self) -> RenderableType:
        table = Table(header_style="bold")
        for column in ("task", "calls", "trials", "default", "best", "gain", "GFLOP/s"):
            table.add_column(column, justify="left" if column == "task" else "right", no_wrap=True)
        rows = sorted(self._tuner.progress.values(), key=lambda one: -_weighted(one)[0])
        for one in rows[:_ROWS]:
            speed = one.task.workload.flops / one.best / 1e9
            table.add_row(
                one.task.name,
                str(one.task.weight),
                str(one.trials),
                show_secs(one.default_secs),
                show_secs(one.best),
                f"{one.default_secs / one.best:.1f}×",
                f"{speed:.1f}" if speed else "–",
            )
        if len(rows) > _ROWS:
            table.add_row(f"… and {len(rows) - _ROWS} lighter tasks", *[""] * 6)
        return table


def _weighted(one: TaskProgress) -> tuple[float, float]:
    return one.task.weight * one.best, one.task.weight * one.default_secs
