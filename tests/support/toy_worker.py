"""A worker of the service whose job is a toy: `python toy_worker.py FOLDER`; its starts are counted in `starts`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import tomllib
from pathlib import Path

from autotune.jobs.run import open_job
from autotune.service.worker import drive, leave_with_server
from autotune.testing.toy_job import toy_engine, toy_plan
from autotune.tuning.budget import Budget

_TRIAL_SECS = 0.01


def main(folder: Path) -> None:
    """Runs the toy job of a folder, or goes on with it, for as many trials as its job file says."""
    leave_with_server()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    budget = tomllib.loads((folder / "jobs.toml").read_text())["budget"]
    plan = toy_plan(folder / "out", Budget(trials=budget["trials"]))
    with open_job(plan, toy_engine(_TRIAL_SECS)) as job:
        drive(job, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
