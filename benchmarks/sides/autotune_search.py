"""A search for one operator that notes when each of its bests could have been used; see `autotune_side`."""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device_url import parse_device
from autotune.models.operators import operator_task
from autotune.runners.local_runner import LocalRunner
from autotune.runners.thread_scaling import check_threads
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from autotune.workers.fork_server import ForkServer
from search_spaces import Config
from tuning_logs import TuningLog


def search(options: argparse.Namespace, server: ForkServer) -> dict[str, Any]:
    """Every best so far, with the time from which it could have been used, and the winner.

    Builder and runner are started first, and it is noted when they were ready.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    device = parse_device(options.device)
    task = operator_task(options.operator, device.target)
    with (
        tempfile.TemporaryDirectory() as folder,
        TuningLog.open(Path(folder) / "log.jsonl") as log,
        LocalBuilder(server=server) as builder,
        LocalRunner(device, server=server) as runner,
    ):
        check_threads(device, runner)
        builder.build([])
        ready = time.time()
        secs = None if options.secs is None else max(options.secs - (ready - options.started), 1.0)
        job = TuningJob((task,), device, Budget(options.trials, secs), seed=options.seed, batch=options.batch)
        tuner = Tuner(job, log, builder, runner)
        incumbents = []
        best: tuple[float, Config | None] = (math.inf, None)
        for records in tuner.rounds():
            found = min(records, key=lambda record: record.secs)
            if found.secs < best[0] and task not in tuner.final_results:
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
    return {
        "trials": tuner.trials,
        "ready_secs": ready - options.started,
        "secs": ended - options.started,
        "incumbents": incumbents,
        "winner": None if winner is None else winner.config.answers,
    }
