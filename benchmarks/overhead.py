"""Overhead of the engine beside compiling and running kernels, and the time of a proposal as trials add up.

    python benchmarks/overhead.py --model squeezenet.onnx --trials 200 --json out/overhead.json
    python benchmarks/overhead.py --trials 0

First a job, in which the builder and the runner are timed from outside: the rest of the wall-clock is the engine's
(scheduling in the parent process, proposing, learning, logging). What the workers of the builder did not spend on
compiling while the engine waited for them is shown, too. Then one core proposes batches of 32 for a matmul of
1024³, whose space has more than 10^6 configs, with ever more trials known; their times are made up, for nothing is
measured there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from autotune.builders.artifact import Artifact
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.models.model import load_model
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from autotune.runners.local_runner import LocalRunner
from autotune.runners.runner import Outcome
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from autotune.tuning.budget import Budget
from autotune.tuning.trial_recorder import Build
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from cost_models.features.config_features import ConfigFeatures
from search_spaces import Candidate, Config, Decision, IllegalSchedule, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Failure, TuningLog

#: What is tuned where no model is given.
OPERATORS = ("conv2d_nchw:1,56,56,64,64,3,3,1,1", "matmul:256,512,256", "softmax:512,128")
WIDE = "matmul:1024,1024,1024"
BATCH = 32
KNOWN = (125, 250, 500, 1000, 2000, 4000)
BAR_SHARE = 0.10
BAR_SECS = 1.5


class Timed:
    """A builder and a runner that note how long they were waited for."""

    def __init__(self, builder: LocalBuilder, runner: LocalRunner) -> None:
        self._builder = builder
        self._runner = runner
        self.build_secs = 0.0
        self.run_secs = 0.0
        self.compile_secs = 0.0

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """The builder's, timed."""
        return [one for one in self._timed(self._builder.build, candidates) if one is not None]

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        """The builder's, timed."""
        return self._timed(self._builder.build_most, candidates)

    def _timed(self, build: Build, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        started = time.perf_counter()
        built = list(build(candidates))
        self.build_secs += time.perf_counter() - started
        self.compile_secs += sum(one.build_secs for one in built if one is not None)
        return built

    def run(self, artifacts: Sequence[Artifact], best_secs: float = float("inf")) -> list[Outcome]:
        """The runner's, timed."""
        started = time.perf_counter()
        outcomes = self._runner.run(artifacts, best_secs)
        self.run_secs += time.perf_counter() - started
        return outcomes

    def close(self) -> None:
        """Does nothing: the opener closes the wrapped one."""


def main() -> None:
    """Runs both parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=None, help="an ONNX file; by default, a few operators")
    parser.add_argument("--trials", type=int, default=200, help="trials of the job, 0 for no job")
    parser.add_argument("--known", type=int, nargs="*", default=list(KNOWN), help="trials before a proposal")
    parser.add_argument("--repeats", type=int, default=3, help="proposals, of which the median counts")
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    device = local_device()
    found: dict[str, Any] = {}
    if options.trials:
        found["job"] = job_overhead(tasks_of(options.model, device), device, options.trials)
        print_job(found["job"])
    if options.known:
        found["proposals"] = proposals(device, options.known, options.repeats)
        print_proposals(found["proposals"])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2))


def tasks_of(model: Path | None, device: Device) -> tuple[TuningTask, ...]:
    """The model's tasks, or those of the operators."""
    if model is None:
        return tuple(operator_task(text, device.target) for text in OPERATORS)
    return tuple(extract_tasks(load_model(model), device.target))


def job_overhead(tasks: Sequence[TuningTask], device: Device, trials: int) -> dict[str, float]:
    """Wall-clock of a job and of its parts, in seconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        TuningLog.open(Path(folder) / "log.jsonl") as log,
        LocalBuilder() as builder,
        LocalRunner(device) as runner,
    ):
        builder.build([])
        runner.thread_speedup()
        timed = Timed(builder, runner)
        started = time.perf_counter()
        job = TuningJob(tuple(tasks), device, Budget(trials=trials))
        tuner = Tuner(job, log, timed, timed)
        for _ in tuner.rounds():
            pass
        secs = time.perf_counter() - started
    return {
        "tasks": len(tasks),
        "trials": tuner.trials,
        "secs": secs,
        "build_secs": timed.build_secs,
        "compile_secs_a_core": timed.compile_secs / (os.cpu_count() or 1),
        "run_secs": timed.run_secs,
        "engine_secs": secs - timed.build_secs - timed.run_secs,
    }


def print_job(job: dict[str, float]) -> None:
    """One line for each part."""
    print(f"{job['trials']} trials of {job['tasks']} tasks in {job['secs']:.1f} s")
    idle = job["build_secs"] - job["compile_secs_a_core"]
    parts = {"waiting for the builder": job["build_secs"], "  of which not compiling": idle}
    parts |= {"waiting for the runner": job["run_secs"], "engine": job["engine_secs"]}
    for part, secs in parts.items():
        print(f"  {part:24} {secs:8.2f} s  {100 * secs / job['secs']:5.1f} %")
    print(f"  bar: engine at most {100 * BAR_SHARE:.0f} %")


def proposals(device: Device, known: Sequence[int], repeats: int) -> list[dict[str, float]]:
    """Seconds of a proposal, with its candidates built and without, by how many trials are known."""
    space = TensorIRSpace(operator_task(WIDE, device.target))
    if space.size < 10**6:
        raise SystemExit(f"expected more than 10^6 configs of {WIDE}, found {space.size}")
    rng = np.random.default_rng(0)
    decisions: dict[str, Decision] = {}

    def draw(decision: Decision) -> int:
        decisions[decision.name] = decision
        return int(rng.integers(len(decision.choices)))

    configs = list(dict.fromkeys(space.answer(draw) for _ in range(2 * max(known))))
    features = np.nan_to_num(ConfigFeatures(decisions.values()).matrix(configs))
    losses = np.exp(features @ rng.normal(size=features.shape[1]) / 8 + rng.normal(size=len(configs)) / 8)
    found = []
    for count in known:
        observations = Observations(tuple(configs[:count]), tuple(losses[:count].tolist()))
        whole = [
            seconds(lambda known=observations, seed=seed: propose(space, known, seed))
            for seed in range(repeats)
        ]
        bare = [
            seconds(
                lambda known=observations, seed=seed: ConfigProposer().propose(
                    space.answer, known, BATCH, np.random.default_rng(seed)
                )
            )
            for seed in range(repeats)
        ]
        found.append(
            {
                "known": count,
                "secs": statistics.median(whole),
                "without_schedules_secs": statistics.median(bare),
            }
        )
    return found


def propose(space: TensorIRSpace, observations: Observations, seed: int) -> list[Config]:
    """As a task's study does it: each proposal is scheduled, to see whether it is legal."""

    def screen(config: Config) -> Config | None:
        try:
            return space.apply(config).config
        except IllegalSchedule:
            return None

    return CostModelSampler(seed=seed).propose(space.answer, observations, BATCH, screen)


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_proposals(found: Sequence[dict[str, float]]) -> None:
    """One line for each number of trials."""
    print(f"proposing {BATCH} of {WIDE}, seconds on one core (bar: {BAR_SECS} with 1000 trials known)")
    for row in found:
        print(
            f"  {row['known']:5.0f} trials known  {row['secs']:6.2f}  without schedules "
            f"{row['without_schedules_secs']:6.2f}"
        )


if __name__ == "__main__":
    main()
