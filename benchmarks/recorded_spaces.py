"""Searches recorded GPU spaces: how many evaluations until within 5 % of the optimum, beside other searches.

    python benchmarks/recorded_spaces.py FOLDER --seeds 25 --json out/recorded_spaces.json

FOLDER holds tables as `search_spaces.tabular_space.TabularSpace` reads them. An evaluation is a row that is looked
up for the first time, whether it ran or failed. A combination without a row breaks a constraint, which is known
without measuring: it is free for every search. Kernel Tuner's strategies only see the legal rows, and so do `random`
and `cost-model`; Optuna's samplers are told a violated constraint and asked again.

With --json, searches that the file has already are not run again unless they are named, so that the table can be made
in pieces; they may have had other numbers of seeds, which the table shows.

Peers: random search, Optuna's TPE and CMA-ES, and, where `kernel-tuner` is installed, its genetic algorithm,
differential evolution, particle swarm and simulated annealing, with their default options.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
import optuna

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from search_spaces.config import Config
from search_spaces.decision import Decision
from search_spaces.tabular_space import RecordedOutcome, TabularSpace

CLOSE = 1.05
REGRETS = (50, 100, 200)
#: Looks in a row at known or illegal configs after which a search counts as stuck.
PATIENCE = 300


class Replay:
    """One search of one table: counts what is looked up for the first time, and knows when to stop."""

    def __init__(self, space: TabularSpace, budget: int) -> None:
        self.space = space
        self.table = space.table
        self.budget = budget
        self.secs: list[float] = []
        self.seen: set[Config] = set()
        self.idle = 0
        self.close_secs = CLOSE * space.best_secs
        #: Until within 5 % of the optimum; infinite where that was not reached.
        self.evaluations = math.inf

    def look(self, config: Config) -> RecordedOutcome | None:
        """The row, None where there is none; a row seen before is free."""
        self.idle += 1
        outcome = self.table.get(config)
        if outcome is not None and config not in self.seen:
            self.idle = 0
            self.seen.add(config)
            self.secs.append(outcome.secs)
            if outcome.secs <= self.close_secs:
                self.evaluations = min(self.evaluations, len(self.secs))
        return outcome

    @property
    def over(self) -> bool:
        """Whether the budget is spent, the search is stuck, or all the questions are answered."""
        answered = len(self.secs) >= REGRETS[-1] and self.evaluations < math.inf
        return answered or len(self.secs) >= self.budget or self.idle >= PATIENCE

    def regret(self, count: int) -> float:
        """Relative slowdown of the best of the first `count` against the optimum: 0.1 is 10 %."""
        return min(self.secs[:count], default=math.inf) / self.space.best_secs - 1


Search = Callable[[Replay, int], None]


def random_search(replay: Replay, seed: int) -> None:
    """Legal configs in random order."""
    configs = list(replay.table)
    for place in np.random.default_rng(seed).permutation(len(configs)):
        if replay.over:
            return
        replay.look(configs[place])


def cost_model(
    batch: int,
    proposer: ConfigProposer | None = None,
    initial_configs: Callable[[TabularSpace], Sequence[Config]] = lambda _space: (),
) -> Search:
    """Our inner search, as a tuner uses it: batches, legality screened by the space."""
    proposer = proposer or ConfigProposer()

    def search(replay: Replay, seed: int) -> None:
        rng = np.random.default_rng(seed)
        measured: list[Config] = []
        losses: list[float] = []
        illegal: list[Config] = []

        def screen(config: Config) -> Config | None:
            if config in replay.table:
                return config
            illegal.append(config)
            return None

        while not replay.over:
            observations = Observations(
                tuple(measured),
                tuple(losses),
                tuple(illegal),
                initial_configs=tuple(initial_configs(replay.space)),
            )
            proposed = proposer.propose(replay.space.answer, observations, batch, rng, screen)
            if not proposed:
                return
            for config in proposed:
                outcome = replay.look(config)
                measured.append(config)
                losses.append(math.inf if outcome is None else outcome.secs)

    return search


def optuna_search(make: Callable[[int], optuna.samplers.BaseSampler]) -> Search:
    """Ask and tell: illegal and failed configs violate a constraint, with the slowest time so far as their value."""

    def search(replay: Replay, seed: int) -> None:
        study = optuna.create_study(sampler=make(seed))
        slowest = 1.0
        while not replay.over:
            trial = study.ask()
            outcome = replay.look(replay.space.answer(lambda decision, trial=trial: suggest(trial, decision)))
            if outcome is None or not outcome.ran:
                trial.set_constraint("illegal" if outcome is None else "failure", 1.0)
                study.tell(trial, slowest)
            else:
                slowest = max(slowest, outcome.secs)
                study.tell(trial, outcome.secs)

    return search


def suggest(trial: optuna.Trial, decision: Decision) -> int:
    """Numbers by their place in the order, words as categories."""
    if any(isinstance(choice, str) for choice in decision.choices):
        return decision.choices.index(trial.suggest_categorical(decision.name, decision.choices))
    return trial.suggest_int(decision.name, 0, len(decision.choices) - 1)


def searches(batch: int) -> dict[str, Search]:
    """Every search by its name, ours first."""
    samplers = optuna.samplers
    found: dict[str, Search] = {
        "cost-model": cost_model(batch),
        "optuna-cost-model": optuna_search(lambda seed: CostModelSampler(seed=seed, batch=batch)),
        "random": random_search,
        "optuna-tpe": optuna_search(lambda seed: samplers.TPESampler(seed=seed)),
        "optuna-tpe-multivariate": optuna_search(
            lambda seed: samplers.TPESampler(seed=seed, multivariate=True)
        ),
        "optuna-cmaes": optuna_search(lambda seed: samplers.CmaEsSampler(seed=seed)),
    }
    if find_spec("kernel_tuner") is None:
        print("kernel-tuner is not installed, so its strategies are not run: pip install kernel-tuner")
        return found
    from sides.kernel_tuner_strategies import STRATEGIES, strategy_search

    return found | {f"kt-{name}": strategy_search(name) for name in STRATEGIES}


def main() -> int:
    """Runs every search on every file and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tables are")
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--budget", type=int, default=400, help="evaluations after which a search gives up")
    parser.add_argument("--batch", type=int, default=4, help="configs that the cost model proposes at a time")
    parser.add_argument(
        "--files", nargs="*", default=[], help="names of tables, without .csv.gz; all if none"
    )
    parser.add_argument("--searches", nargs="*", default=[], help="names of searches; all if none")
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    paths = [path for path in sorted(options.folder.glob("*.csv*")) if wanted(path, options.files)]
    if not paths:
        print(
            f"expected recorded spaces (*.csv, *.csv.gz) in {options.folder}, found none of those asked for"
        )
        return 2
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    spaces = {path.name.partition(".")[0]: TabularSpace(path) for path in paths}
    known = searches(options.batch)
    unknown = sorted(set(options.searches) - set(known))
    if unknown:
        print(f"expected searches among {', '.join(known)}; found {', '.join(unknown)}")
        return 2
    setup = {"budget": options.budget, "batch": options.batch, "tables": list(spaces)}
    results = earlier_results(options.json, setup)
    for name in options.searches or [name for name in known if name not in results]:
        results[name] = run(known[name], spaces, options.seeds, options.budget)
        print_row(name, results[name], options.budget)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps({**setup, "results": results}, indent=2))
    print(f"\nall, on {', '.join(spaces)}:")
    for name in sorted(results, key=list(known).index):
        print_row(name, results[name], options.budget)
    print_comparison(results)
    return 0


def earlier_results(file: Path | None, setup: dict[str, Any]) -> dict[str, Any]:
    """Results of an earlier run with the same setup, by search."""
    if file is None or not file.is_file():
        return {}
    found = json.loads(file.read_text())
    if {name: found.get(name) for name in setup} != setup:
        raise SystemExit(f"expected numbers of {setup} in {file}, found others; name another file")
    results: dict[str, Any] = found["results"]
    return results


def wanted(path: Path, names: list[str]) -> bool:
    """Whether a table was asked for."""
    return not names or path.name.partition(".")[0] in names


def run(
    search: Search, spaces: dict[str, TabularSpace], seeds: int, budget: int
) -> dict[str, dict[str, list[float]]]:
    """For each table: evaluations needed (budget where not reached), regrets and seconds, one per seed."""
    found = {}
    for name, space in spaces.items():
        started = time.perf_counter()
        replays = []
        for seed in range(seeds):
            replays.append(Replay(space, budget))
            search(replays[-1], seed)
        found[name] = {
            "evaluations": [min(replay.evaluations, budget) for replay in replays],
            **{f"regret_{count}": [replay.regret(count) for replay in replays] for count in REGRETS},
            "search_secs": [(time.perf_counter() - started) / seeds],
        }
    return found


def print_row(name: str, tables: dict[str, dict[str, list[float]]], budget: int) -> None:
    """One search: geometric means over the tables, then each table's median."""
    medians = medians_of(tables)
    seeds = min(len(table["evaluations"]) for table in tables.values())
    means = [float(np.mean(table["evaluations"])) for table in tables.values()]
    regrets = [
        100 * float(np.mean([np.median(table[f"regret_{count}"]) for table in tables.values()]))
        for count in REGRETS
    ]
    print(
        f"{name:24} {seeds:3} seeds  median {geometric_mean(medians):6.1f}  mean {geometric_mean(means):6.1f}  "
        f"regret {' '.join(f'{regret:5.1f}%' for regret in regrets)}  by table "
        + " ".join(f">{budget:.0f}" if median >= budget else f"{median:4.0f}" for median in medians),
        flush=True,
    )


def print_comparison(results: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    """Ours over the best peer, and whether random search beat ours on some table."""
    peers = {
        name: geometric_mean(medians_of(tables))
        for name, tables in results.items()
        if "cost-model" not in name
    }
    if "cost-model" not in results or not peers:
        return
    ours = results["cost-model"]
    best = min(peers, key=peers.__getitem__)
    print(f"ours over the best peer, {best}: {geometric_mean(medians_of(ours)) / peers[best]:.2f} (bar: 0.5)")
    if "random" in results:
        pairs = zip(ours, medians_of(ours), medians_of(results["random"]), strict=True)
        worse = [table for table, mine, random in pairs if mine > random]
        print(f"worse than random on: {', '.join(worse) or 'none'}")


def medians_of(tables: dict[str, dict[str, list[float]]]) -> list[float]:
    """The median number of evaluations of each table."""
    return [float(np.median(table["evaluations"])) for table in tables.values()]


if __name__ == "__main__":
    sys.exit(main())
