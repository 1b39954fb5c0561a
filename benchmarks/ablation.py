"""Ablation of the search: random → Optuna TPE → + ranker → + validity → + neighbours → + similar tasks.

    python benchmarks/ablation.py --folder RECORDED --seeds 25 --json out/ablation.json
    python benchmarks/ablation.py --ops --trials 64 --seeds 3 --json out/ablation_ops.json

With --folder, on recorded spaces (see `recorded_spaces.py`): evaluations until within 5 % of the optimum, geometric
mean over the tables; a similar task is the same kernel on another GPU, where the folder has one. With --ops, on this
machine: the best latency after a number of trials over the best that any variant and seed found, for operators of
which another size was tuned before, for as many trials.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from recorded_spaces import Search, cost_model, geomean, optuna_search, random_search, run

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import local_device
from autotune.models.operators import operator_task
from autotune.runners.local_runner import LocalRunner
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.proposer import ConfigProposer
from autotune.search.samplers import SamplerFactory, SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Config, TuningTask
from search_spaces.config_transfer import transferred
from search_spaces.tabular_space import TabularSpace
from tuning_logs import TuningLog

SIMILAR = "+ similar tasks"
RANDOM, TPE = "random", "optuna-tpe"
PROPOSERS = {
    "+ ranker": ConfigProposer(local=0.0, incumbents=0, valid_above=0.0),
    "+ validity": ConfigProposer(local=0.0, incumbents=0),
    "+ neighbours": ConfigProposer(),
    SIMILAR: ConfigProposer(),
}
#: Operators, and the other size that a log knows when a variant learns from similar tasks.
OPERATORS = {
    "matmul:512,512,512": "matmul:384,384,384",
    "conv2d_nhwc:1,28,28,128,128,3,1,1": "conv2d_nhwc:1,56,56,64,64,3,1,1",
    "batch_matmul:12,128,128,64": "batch_matmul:8,256,128,64",
}
_HINTS = 4


def main() -> None:
    """Runs what was asked for and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=None, help="where recorded spaces are")
    parser.add_argument(
        "--ops", nargs="*", choices=OPERATORS, default=None, help="operators; all if none are named"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=400, help="evaluations of a recorded space")
    parser.add_argument("--trials", type=int, default=64, help="trials of an operator")
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    found: dict[str, Any] = {"seeds": options.seeds}
    if options.folder is not None:
        found["recorded"] = recorded(options.folder, options.seeds, options.budget)
    if options.ops is not None:
        found["operators"] = operators(options.ops or list(OPERATORS), options.seeds, options.trials)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2))


def recorded(folder: Path, seeds: int, budget: int) -> dict[str, dict[str, list[float]]]:
    """Evaluations until close to the optimum, by variant and table."""
    spaces = {path.name.partition(".")[0]: TabularSpace(path) for path in sorted(folder.glob("*.csv*"))}
    if not spaces:
        raise SystemExit(f"expected recorded spaces (*.csv, *.csv.gz) in {folder}, found none")
    initial_configs = {space.task: similar_configs(space, list(spaces.values())) for space in spaces.values()}
    searches: dict[str, Search] = {
        RANDOM: random_search,
        TPE: optuna_search(lambda seed: optuna.samplers.TPESampler(seed=seed)),
        **{
            name: cost_model(
                4, proposer, (lambda space: initial_configs[space.task]) if name == SIMILAR else lambda _: ()
            )
            for name, proposer in PROPOSERS.items()
        },
    }
    found: dict[str, dict[str, list[float]]] = {}
    print(f"evaluations until within 5 %, medians of {seeds} seeds; * knows another GPU")
    starred = [f"{name}{'*' if initial_configs[space.task] else ''}" for name, space in spaces.items()]
    print(f"{'':16} {'mean':>7}   {'  '.join(starred)}")
    for variant, search in searches.items():
        tables = run(search, spaces, seeds, budget)
        found[variant] = {name: table["evaluations"] for name, table in tables.items()}
        medians = [float(np.median(one)) for one in found[variant].values()]
        cells = "  ".join(f"{median:{len(name)}.0f}" for median, name in zip(medians, starred, strict=True))
        print(f"{variant:16} {geomean(medians):7.1f}   {cells}", flush=True)
    return found


def similar_configs(space: TabularSpace, spaces: list[TabularSpace]) -> list[Config]:
    """The best few of the same kernel on other devices."""
    names = [decision.name for decision in space.decisions]
    found = []
    for other in spaces:
        if other.task != space.task and [decision.name for decision in other.decisions] == names:
            ranked = sorted(other.table, key=lambda config: other.table[config].secs)
            found += [space.answer(transferred(config)) for config in ranked[:_HINTS]]
    return found


def operators(names: list[str], seeds: int, trials: int) -> dict[str, dict[str, list[list[float]]]]:
    """The best latency after each trial, by variant and operator, one list per seed."""
    device = local_device()
    samplers: dict[str, SamplerFactory] = {
        RANDOM: sampler_factory(SamplerKind.RANDOM),
        TPE: sampler_factory(SamplerKind.TPE),
        **{name: guided(proposer) for name, proposer in PROPOSERS.items()},
    }
    found: dict[str, dict[str, list[list[float]]]] = {variant: {} for variant in samplers}
    with LocalBuilder() as builder, LocalRunner(device) as runner:

        def tune(task: TuningTask, log: TuningLog, sampler: SamplerFactory, seed: int) -> list[float]:
            job = TuningJob(
                (task,), device, Budget(trials=trials), seed=seed, sampler=sampler, finals_share=0.0
            )
            tuner = Tuner(job, log, builder, runner)
            for _ in tuner.rounds():
                pass
            return tuner.progress[task].best_secs

        for seed in range(seeds):
            for name in names:
                task = operator_task(name, device.target)
                for variant, sampler in samplers.items():
                    log = TuningLog.in_memory()
                    if variant == SIMILAR:
                        tune(operator_task(OPERATORS[name], device.target), log, sampler, seed)
                    found[variant].setdefault(name, []).append(tune(task, log, sampler, seed))
    print_operators(found, names, trials)
    return found


def guided(proposer: ConfigProposer) -> SamplerFactory:
    """The cost model's sampler with other parts."""
    return lambda _space, seed: CostModelSampler(seed=seed, proposer=proposer)


def print_operators(found: dict[str, dict[str, list[list[float]]]], names: list[str], trials: int) -> None:
    """For each variant, after a few numbers of trials: latency over the best known, geometric mean."""
    best = {name: min(curve[-1] for tables in found.values() for curve in tables[name]) for name in names}
    marks = [mark for mark in (4, 8, 16, 32, 64, 128, 256) if mark < trials] + [trials]
    print(f"latency over the best known, after trials{''.join(f'{mark:8}' for mark in marks)}")
    for variant, tables in found.items():
        row = [
            geomean(
                [
                    statistics.median(after(curve, mark) for curve in tables[name]) / best[name]
                    for name in names
                ]
            )
            for mark in marks
        ]
        print(f"{variant:40} {''.join(f'{value:8.3f}' for value in row)}", flush=True)


def after(curve: list[float], trials: int) -> float:
    """The best of the first trials, or of all where there are fewer."""
    return curve[min(trials, len(curve)) - 1]


if __name__ == "__main__":
    main()
