"""The progress of a running job: a live table on a terminal, a line a round elsewhere."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from autotune.cli.job_view import summary
from autotune.cli.tables import TableView
from autotune.jobs.job_round import JobRound
from autotune.jobs.status import JobStatus
from autotune.jobs.status_tables import task_table

# More rows than this do not fit a terminal: the heaviest tasks are shown.
_ROWS = 20


class TuningProgress:
    """Shows a job's rounds; ignores a terminal that is gone, as after a hang-up."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_gone = False
        self._live = (
            Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )

    def __enter__(self) -> TuningProgress:
        if self._live:
            with suppress(OSError):
                self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            with suppress(OSError):
                self._live.stop()

    def update(self, status: JobStatus, happened: JobRound) -> None:
        """Shows the status after a round."""
        if self._is_gone:
            return
        try:
            if self._live:
                table = TableView(task_table(status, _ROWS))
                self._live.update(Group(Text(summary(status)), table), refresh=True)
            else:
                self._console.print(Text(_line(status, happened)))
        except OSError:
            self._is_gone = True


def _line(status: JobStatus, happened: JobRound) -> str:
    if not happened.records:
        return f"{summary(status)} · {happened.activity}"
    names = ", ".join(dict.fromkeys(record.task.name for record in happened.records))
    return f"{summary(status)} · measured {len(happened.records)} of {names}"
