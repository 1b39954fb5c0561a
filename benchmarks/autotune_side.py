"""This project's side of the comparison: one operator, in a process of its own.

    python benchmarks/autotune_side.py --operator matmul:512,512,512 --trials 64 --out result.json

Builder and runner are started first, and it is noted when they were ready: against a MetaSchedule whose start-up is
not counted, ours is not counted either.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import optuna

from autotune.budget import Budget
from autotune.builder import LocalBuilder
from autotune.device import local_device
from autotune.job import TuningJob
from autotune.operators import operator_task
from autotune.pace import Pace
from autotune.runner import LocalRunner
from autotune.thread_scaling import check_threads
from autotune.tuner import Tuner
from search_spaces import Config
from tuning_logs import TuningLog


def main() -> None:
    """Tunes and writes every best so far, with the time from which it could have been used, and the winner."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operator", required=True)
    parser.add_argument("--trials", type=int, default=None)
    parser.add_argument("--secs", type=float, default=None, help="from the start of the process")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--started", type=float, required=True, help="when the process was started (Unix time)"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    device, pace = local_device(), Pace()
    task = operator_task(options.operator, device.target)
    with (
        tempfile.TemporaryDirectory() as folder,
        TuningLog.open(Path(folder) / "log.jsonl") as log,
        LocalBuilder() as builder,
        LocalRunner(device, pace=pace) as runner,
    ):
        check_threads(device, runner)
        builder.build([])
        ready = time.time()
        secs = None if options.secs is None else max(options.secs - (ready - options.started), 1.0)
        job = TuningJob((task,), device, Budget(options.trials, secs), seed=options.seed, batch=options.batch)
        tuner = Tuner(job, log, builder, runner)
        tuner.pace = pace
        incumbents = []
        best: tuple[float, Config | None] = (math.inf, None)
        for records in tuner.rounds():
            found = min(records, key=lambda record: record.secs)
            if found.secs < best[0] and task not in tuner.verdicts:
                best = (found.secs, found.config)
                incumbents.append(
                    {
                        "after_secs": time.time() - options.started,
                        "trials": tuner.trials,
                        "own_secs": found.secs,
                        "config": found.config.answers,
                    }
                )
        ended = time.time()
        winner = log.best(task, device.fingerprint)
    result = {
        "trials": tuner.trials,
        "ready_secs": ready - options.started,
        "secs": ended - options.started,
        "incumbents": incumbents,
        "winner": None if winner is None else winner.config.answers,
    }
    options.out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
