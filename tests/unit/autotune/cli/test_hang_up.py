"""A terminal that goes away takes no job along."""

from __future__ import annotations

import io
import os
import signal

import msgspec
import pytest
from rich.console import Console

from autotune.cli import stop_signal
from autotune.cli.console import PatientConsole
from autotune.cli.progress import TuningProgress
from autotune.cli.stop_signal import StopSignal
from autotune.jobs.job_round import JobRound
from autotune.jobs.status import JobState, JobStatus, read_status
from autotune.testing.toy_job import run_toy_job


class Gone(io.StringIO):
    """What a program writes to after the connection broke."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> JobStatus:
    folder = tmp_path_factory.mktemp("job")
    run_toy_job(folder, 20, 0.0)
    found = read_status(folder)
    assert found is not None
    return found


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError()])
def test_progress_goes_on_without_a_terminal(status: JobStatus, error: OSError, is_terminal: bool) -> None:
    gone = PatientConsole(file=Gone(error), force_terminal=is_terminal)
    with TuningProgress(gone) as progress:
        progress.update(status, JobRound("searching"))
        progress.update(status, JobRound("searching"))


def test_a_hang_up_stops_the_job_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signal, "ERR", Console(file=Gone(OSError(5, "Input/output error"))))
    stops: list[bool] = []
    with StopSignal(lambda: stops.append(True)) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.was_received
    assert stops == [True]


def test_progress_is_a_line_a_round_where_there_is_no_terminal(status: JobStatus) -> None:
    text = io.StringIO()
    status = msgspec.structs.replace(status, state=JobState.RUNNING, eta_secs=90.0)
    with TuningProgress(Console(file=text, force_terminal=False, width=60)) as progress:
        progress.update(status, JobRound("searching"))
    assert text.getvalue().count("\n") >= 1
    assert "20 of 20 trials" in text.getvalue().replace("\n", " ")
    assert "ETA 1 m 30 s" in text.getvalue().replace("\n", " ")
