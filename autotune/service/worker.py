"""The program that runs one job of the service in its folder, by the engine that `autotune run` has as well.

    python -m autotune.service.worker FOLDER/jobs/ID

SIGTERM stops the job after the round under way. When stdin is closed, as the server's end does, the process ends at
once; the next server goes on with the job. An error that a user can act on is left in `error.json` beside the job file.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from autotune.jobs.status import JobState
from autotune.service.documents import Refusal
from autotune.service.engine_comparison import compare_engines, read_wanted
from autotune.service.job_files import ERROR_FILE, JOB_FILE
from autotune.workers.fork_server import kernel_server
from search_spaces.errors import AutotuneError
from tuning_logs.atomic_file import atomically

if TYPE_CHECKING:
    from autotune.jobs.run import JobRun

# A predecessor that is about to end has the folder, or the log in it, for a moment.
_BUSY: Final = ("AT502", "AT203")
_BUSY_SECS: Final = 20.0
_PAUSE_SECS: Final = 0.1


def main(folder: Path) -> int:
    """Runs the job of a folder, or goes on with it; returns the exit code: 0 done or stopped, 2 for an error."""
    started = time.monotonic()
    leave_with_server()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with kernel_server() as server:
            # The server loads TVM on another core while this process does.
            from autotune.cluster.opening import open_workers
            from autotune.jobs.job_file import read_job_file
            from autotune.jobs.plan import plan_job
            from autotune.jobs.run import open_job

            request = read_job_file(folder / JOB_FILE)
            with open_workers(request.workers) as workers:
                plan = plan_job(request, server, workers)
                while True:
                    try:
                        with open_job(plan, started=started, server=server, workers=workers) as job:
                            drive(job, stop)
                        compare_finished(job, folder)
                        return 0
                    except AutotuneError as error:
                        if error.code not in _BUSY or time.monotonic() - started > _BUSY_SECS:
                            raise
                    time.sleep(_PAUSE_SECS)
    except AutotuneError as error:
        leave_error(folder, error)
    except Exception as error:  # noqa: BLE001 - a defect ends the job, not the service; its trace is in worker.log
        traceback.print_exc()
        leave_error(folder, AutotuneError(f"{type(error).__name__}: {error}", code="AT002"))
    return 2


def drive(job: JobRun, stop: threading.Event) -> None:
    """Runs the rounds of an opened job; stopped politely once the event is set."""
    with _stopping(job, stop):
        for _ in job.rounds():
            pass


def compare_finished(job: JobRun, folder: Path) -> None:
    """Compares the models of a job that has reached its end with the engines that its order names."""
    engines = read_wanted(folder)
    result, output = job.result, job.plan.request.output
    if engines and output is not None and result is not None and result.status.state is JobState.FINISHED:
        compare_engines(job.plan, engines, output)


def leave_error(folder: Path, error: AutotuneError) -> None:
    """Writes an error where the server looks for it."""
    with atomically(folder / ERROR_FILE) as scratch:
        scratch.write_bytes(msgspec.json.encode(Refusal(error.code, str(error))))


def leave_with_server() -> None:
    """Has this process end when its stdin is closed; its own workers end with it."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    watch = select.poll()
    watch.register(0, 0)  # only its being closed
    watch.poll()
    os._exit(1)


@contextmanager
def _stopping(job: JobRun, stop: threading.Event) -> Iterator[None]:
    """Passes a stop on to the job, also one that came before it was opened."""
    signal.signal(signal.SIGTERM, lambda *_: job.stop())
    if stop.is_set():
        job.stop()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
