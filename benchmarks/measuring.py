"""Quality of the stopwatch: candidates per second, cost of slow ones, spread, and the effect of a CPU hog on a winner.

    python benchmarks/measuring.py --json out/measuring.json
    python benchmarks/measuring.py --trials 24 --occasions 5 --only throughput spread

Everything is a 512 × 512 × 512 matmul on this machine; nothing else should be running. A hog is one process that
keeps one processor busy.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sides.referee import Referee

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.models.operators import operator_task
from autotune.runners.drift import is_steady
from autotune.runners.local_runner import LocalRunner
from autotune.runners.runner import Outcome
from autotune.runners.thread_scaling import check_threads
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Config, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Timing, TuningLog

SLOW_FACTOR = 3.0
HOG = [sys.executable, "-c", "while True: pass"]
REFEREE_TURNS = 20
BARS = {
    "trials_per_sec": 6.0,
    "slow_secs": 0.060,
    "spread": 1.03,
    "passing_hog_winner_over_quiet_winner": 1.03,
    "staying_hog_winner_over_quiet_winner": 1.03,
}


class WatchedRunner(LocalRunner):
    """A runner that notes how long each candidate kept it, besides what came out."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.spent: list[tuple[float, float]] = []

    def _run(self, artifact: Artifact, best: dict[str, float]) -> Outcome:
        started = time.perf_counter()
        outcome = super()._run(artifact, best)
        if isinstance(outcome.measurement, Timing) and not artifact.is_reference:
            self.spent.append((outcome.measurement.secs, time.perf_counter() - started))
        return outcome


def main() -> None:
    """Runs the experiments, prints the table, writes the JSON."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiments = {"throughput": throughput, "spread": spread, "hog": hog}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--occasions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=experiments, default=list(experiments))
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    device = local_device()
    found: dict[str, Any] = {"device": dict(device.fingerprint.facts), "trials": options.trials}
    for name in options.only:
        found |= experiments[name](device, options)
    for name, value in found.items():
        bar = f"   (bar: {BARS[name]})" if name in BARS else ""
        print(f"{name:32} {value:.4g}{bar}" if isinstance(value, float) else f"{name:32} {value}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def throughput(device: Device, options: argparse.Namespace) -> dict[str, Any]:
    """Trials per second from the first candidate on, compiling and proposing included, and what slow ones cost."""
    found: dict[str, Any] = {}
    for kind in (SamplerKind.RANDOM, SamplerKind.COST_MODEL):
        run = Run(device, kind, options)
        slow = [spent for secs, spent in run.spent if secs > SLOW_FACTOR * run.best_secs]
        suffix = "" if kind is SamplerKind.COST_MODEL else "_random"
        found |= {
            f"trials_per_sec{suffix}": run.trials / run.search_secs,
            f"job_secs{suffix}": run.job_secs,
            f"best_gflops{suffix}": run.task.workload.flops / run.best_secs / 1e9,
            f"slow_candidates{suffix}": len(slow),
            f"slow_secs{suffix}": statistics.median(slow) if slow else None,
        }
    return found


def spread(device: Device, options: argparse.Namespace) -> dict[str, Any]:
    """The 90th over the 10th percentile of one kernel's latency on several occasions, each in its own process."""
    task = operator_task("matmul:512,512,512", device.target)
    space = TensorIRSpace(task)
    best = Run(device, SamplerKind.RANDOM, options).best_config
    latencies = []
    with LocalBuilder() as builder:
        built = builder.build([space.apply(space.default), space.apply(best)])
        reference, artifact = (one for one in built if isinstance(one, Artifact))
        for _ in range(options.occasions):
            with LocalRunner(device) as runner:
                outcomes = runner.run([reference, artifact])
            latencies.append(outcomes[1].measurement.secs)
            time.sleep(1.0)
    low, high = np.percentile(latencies, [10, 90])
    return {"spread": float(high / low), "occasions": len(latencies), "occasion_secs": latencies}


def hog(device: Device, options: argparse.Namespace) -> dict[str, Any]:
    """The winner of the same candidates with no hog, with one in the middle third, and with one that stays."""
    third = options.trials // 3
    runs = {
        "quiet": Run(device, SamplerKind.RANDOM, options),
        "passing": Run(device, SamplerKind.RANDOM, options, range(third, 2 * third)),
        "staying": Run(device, SamplerKind.RANDOM, options, range(options.trials // 2, 10**9)),
    }
    quiet = runs["quiet"]
    found: dict[str, Any] = {"hog_seen_without_one": quiet.warning}
    for name in ("passing", "staying"):
        run = runs[name]
        same = run.best_config == quiet.best_config
        slower = 1.0 if same else head_to_head(device, quiet.task, run.best_config, quiet.best_config)
        found |= {
            f"{name}_hog_noticed": run.noticed,
            f"{name}_hog_in_doubt": len(run.unsteady),
            f"{name}_hog_hit_quiet_winner": quiet.best_config in run.unsteady,
            f"{name}_hog_same_winner": same,
            f"{name}_hog_winner_over_quiet_winner": slower,
        }
    return found


def head_to_head(device: Device, task: TuningTask, one: Config, other: Config) -> float:
    """The latency of one config over that of another, measured in turns by a referee on a quiet machine."""
    referee = Referee(task, device)
    referee.add_config("one", one)
    referee.add_config("other", other)
    secs = referee.measure(REFEREE_TURNS)
    return secs["one"] / secs["other"]


class Run:
    """One tuning job, with a hog while the number of trials measured is within hogged."""

    def __init__(
        self,
        device: Device,
        kind: SamplerKind,
        options: argparse.Namespace,
        hogged: range = range(0),
    ) -> None:
        self.task = operator_task("matmul:512,512,512", device.target)
        log = TuningLog.in_memory()
        job = TuningJob(
            (self.task,),
            device,
            Budget(trials=options.trials),
            options.seed,
            sampler=sampler_factory(kind),
            finals_share=0.2,
        )
        self.noticed = False
        searched, search_started, search_ended = 0, math.inf, math.inf
        self.spent: list[tuple[float, float]] = []
        with WatchedRunner(device) as runner, LocalBuilder() as builder:
            check_threads(device, runner)
            tuner = Tuner(job, log, builder, runner)
            rounds = tuner.rounds()
            started = time.perf_counter()
            with hog_while(lambda: tuner.trials in hogged) as keep_up:
                for _records in rounds:
                    search_started = min(search_started, time.perf_counter())
                    if tuner.trials > searched:
                        searched, search_ended = tuner.trials, time.perf_counter()
                        self.spent = list(runner.spent)
                    self.noticed = self.noticed or (not is_steady(tuner.slowdown) and tuner.trials > 0)
                    keep_up()
            self.job_secs = time.perf_counter() - started
        self.search_secs = search_ended - search_started
        self.trials = tuner.trials
        self.warning = tuner.drift_warning
        self.unsteady = {
            one.config
            for one in log.iterate()
            if isinstance(one.measurement, Timing) and not one.measurement.is_steady
        }
        best = log.best(self.task, device.fingerprint)
        assert best is not None
        self.best_config, self.best_secs = best.config, best.secs


@contextmanager
def hog_while(wanted: Any) -> Iterator[Any]:
    """Starts and ends a hog as `wanted` says, each time that what is given is called."""
    hogs: list[subprocess.Popen[bytes]] = []

    def keep_up() -> None:
        if wanted() and not hogs:
            hogs.append(subprocess.Popen(HOG))
        elif not wanted() and hogs:
            end()

    def end() -> None:
        while hogs:
            process = hogs.pop()
            process.kill()
            process.wait()

    try:
        yield keep_up
    finally:
        end()


if __name__ == "__main__":
    main()
