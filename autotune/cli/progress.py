"""The progress of a running job: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from autotune.cli.job_view import summary
from autotune.cli.tables import TableView
from autotune.jobs.job_round import JobRound
from autotune.jobs.status import JobStatus
from autotune.jobs.status_tables import task_table
from search_spaces.printable_text import one_line

# More rows than this do not fit a terminal: the heaviest tasks are shown.
_ROWS = 20
# Between two lines, so that a night of many rounds does not fill the log of a CI system.
_GAP_SECS = 5.0


class LineProgress:
    """Prints lines of progress, one every few seconds at most; the others are dropped."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._due = clock()

    def show(self, line: str) -> None:
        """Prints a line where it is time to."""
        if self._clock() >= self._due:
            self.say(line)

    def say(self, line: str) -> None:
        """Prints a line at once."""
        self._console.print(one_line(line))
        self._due = self._clock() + _GAP_SECS


class TuningProgress:
    """Shows a job's rounds."""

    def __init__(self, console: Console) -> None:
        self._lines = LineProgress(console)
        is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, transient=True, auto_refresh=False) if is_live else None

    def __enter__(self) -> TuningProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, status: JobStatus, happened: JobRound) -> None:
        """Shows the status after a round."""
        if self._live:
            table = TableView(task_table(status, _ROWS))
            self._live.update(Group(Text(one_line(summary(status))), table), refresh=True)
        elif happened.records:
            names = ", ".join(dict.fromkeys(record.task.name for record in happened.records))
            self._lines.show(f"{summary(status)} · measured {len(happened.records)} of {names}")
        else:  # the start of another activity: there are few
            self._lines.say(f"{summary(status)} · {happened.activity}")
