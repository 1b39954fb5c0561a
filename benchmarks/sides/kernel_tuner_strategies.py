"""Kernel Tuner's search strategies on a recorded space, with their default options (needs `kernel-tuner`)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from kernel_tuner import util
from kernel_tuner.interface import Options, strategy_map
from kernel_tuner.runners.runner import Runner
from kernel_tuner.searchspace import Searchspace

from search_spaces.config import Config

STRATEGIES = ("genetic_algorithm", "diff_evo", "pso", "simulated_annealing")


class ReplayingRunner(Runner):
    """Gives Kernel Tuner what the replay says, and tells it when the budget is spent."""

    def __init__(self, replay: Any) -> None:
        self.replay = replay
        self.accumulated_strategy_time = 0.0
        self.names = [decision.name for decision in replay.space.decisions]

    def get_device_info(self) -> None:
        """An empty device description."""

    def get_environment(self, _tuning_options: Options) -> dict[str, Any]:
        """An empty environment."""
        return {}

    def shutdown(self) -> None:
        """Does nothing."""

    def run(
        self, parameter_space: Iterable[Iterable[Any]], tuning_options: Options
    ) -> list[dict[str, Any] | None]:
        """One result per config; None once the budget is spent."""
        results: list[dict[str, Any] | None] = []
        for element in parameter_space:
            if tuning_options.budget.is_done() or self.replay.over:
                raise util.StopCriterionReached("all evaluations are used up")
            answers = dict(zip(self.names, element, strict=True))
            before = len(self.replay.secs)
            outcome = self.replay.look(Config(tuple(answers.items())))
            tuning_options.budget.add_evaluations(len(self.replay.secs) - before)
            failed = util.RuntimeFailedConfig()
            time = outcome.secs * 1e3 if outcome.ran else failed
            results.append({**answers, "time": time, **({} if outcome.ran else {"__error__": failed})})
        return results


def strategy_search(strategy: str) -> Callable[[Any, int], None]:
    """The strategy as a search of a replay."""

    def search(replay: Any, seed: int) -> None:
        # Kernel Tuner draws from the global generators.
        random.seed(seed)
        np.random.seed(seed)
        params = {decision.name: list(decision.choices) for decision in replay.space.decisions}
        # A search space of its own for each run: it remembers neighbours from one run to the next.
        space = Searchspace(None, None, None, from_cache={"tune_params": params, "cache": _cache(replay)})
        options = Options(
            tune_params=params,
            objective=["time"],
            objective_higher_is_better=[False],
            strategy_options=Options(max_fevals=replay.budget),
            max_fevals=replay.budget,
            budget=util.TuningBudget(None, replay.budget),
            restrictions=None,
            metrics=None,
            verbose=False,
            cache={},
            cachefile=None,
            simulated_time=0,
        )
        try:
            strategy_map[strategy].tune(space, ReplayingRunner(replay), options)
        except util.StopCriterionReached:
            return

    return search


def _cache(replay: Any) -> dict[str, dict[str, Any]]:
    return {config.key: dict(config.answers) for config in replay.table}
