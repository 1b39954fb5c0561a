"""A terminal that goes away takes no job along."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from autotune.cli.console import LiteralConsole
from autotune.cli.progress import LineProgress, TuningProgress
from autotune.cli.stop_signal import StopSignal
from autotune.cli.streams import RemarkStream
from autotune.jobs.job_round import JobRound
from autotune.jobs.status import JobState, JobStatus
from autotune.jobs.status_file import read_status
from autotune.testing.toy_job import run_toy_job


class Gone(io.FileIO):
    """What a program writes to after the connection broke."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(folder / "gone", "wb")
        self.error = error

    def write(self, text: object, /) -> int:
        raise self.error


def gone_terminal(folder: Path, error: OSError) -> RemarkStream:
    return RemarkStream(io.BufferedWriter(Gone(folder, error)), line_buffering=True)


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> JobStatus:
    folder = tmp_path_factory.mktemp("job")
    run_toy_job(folder, 20, 0.0)
    found = read_status(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError()])
def test_progress_goes_on_without_a_terminal(
    status: JobStatus, error: OSError, is_terminal: bool, tmp_path: Path
) -> None:
    gone = LiteralConsole(file=gone_terminal(tmp_path, error), force_terminal=is_terminal)
    with TuningProgress(gone) as progress:
        progress.update(status, JobRound("searching"))
        progress.update(status, JobRound("searching"))


def test_a_hang_up_stops_the_job_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stderr", gone_terminal(tmp_path, OSError(5, "Input/output error")))
    stops: list[bool] = []
    with StopSignal(lambda: stops.append(True)) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.was_received
    assert stops == [True]


def test_progress_is_a_line_where_there_is_no_terminal(status: JobStatus) -> None:
    text = io.StringIO()
    status = msgspec.structs.replace(status, state=JobState.RUNNING, eta_secs=90.0)
    with TuningProgress(LiteralConsole(file=text, force_terminal=False, width=60)) as progress:
        progress.update(status, JobRound("searching"))
    assert text.getvalue().count("\n") >= 1
    assert "20 of 20 trials" in text.getvalue().replace("\n", " ")
    assert "ETA 1 m 30 s" in text.getvalue().replace("\n", " ")


def test_a_log_gets_a_line_every_few_seconds_however_many_rounds_there_are() -> None:
    text, now = io.StringIO(), 0.0
    progress = LineProgress(LiteralConsole(file=text), lambda: now)
    for tenth in range(200):
        now = tenth / 10
        progress.show(f"round {tenth}")
    assert text.getvalue().splitlines() == ["round 0", "round 50", "round 100", "round 150"]


@pytest.mark.parametrize(("term", "is_live"), [("xterm", True), ("dumb", False), ("", False)])
def test_a_terminal_without_control_sequences_gets_lines(
    status: JobStatus, term: str, is_live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    text = io.StringIO()
    with TuningProgress(LiteralConsole(file=text, force_terminal=True, width=100)) as progress:
        progress.update(status, JobRound("searching"))
    assert ("\x1b" in text.getvalue()) == is_live
    assert "20 of 20 trials" in text.getvalue()


@pytest.mark.parametrize("value", ["1", "3", "0", ""])
def test_forced_colours_make_no_terminal_of_a_pipe(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = io.StringIO()
    console = LiteralConsole(file=text)
    assert not console.is_terminal
    console.print("red", style="red")
    assert ("\x1b[31m" in text.getvalue()) == (value in ("1", "3"))
