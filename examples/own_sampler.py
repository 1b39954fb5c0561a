"""Search with a sampler of your own: any Optuna sampler can propose the configs of a task.

python examples/own_sampler.py --trials 32
"""

import argparse
import random
from typing import Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

import autotune


class MostlyBest(BaseSampler):
    """Each parameter keeps the value of the best trial so far, or, one time in five, is drawn at random."""

    def __init__(self, seed: int) -> None:
        self._rng, self._random = random.Random(seed), RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        best = min(done, key=lambda one: one.value).params if done else {}
        keeps = name in best and self._rng.random() < 0.8
        return best[name] if keeps else self._random.sample_independent(study, trial, name, distribution)


def main() -> None:
    """Tunes one matrix product with the sampler above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--device", default="local")
    options = parser.parse_args()
    device, log = autotune.parse_device(options.device), autotune.TuningLog.in_memory()
    task = autotune.operator_task("matmul:64,64,64", device.target)
    budget, sampler = autotune.Budget(trials=options.trials), lambda space, seed: MostlyBest(seed)
    job = autotune.TuningJob((task,), device, budget, sampler=sampler, sampler_name="mostly-best")
    for records in autotune.Tuner(job, log).rounds():
        print(f"{len(log):4} records, best of the round {min(one.secs for one in records) * 1e6:.2f} µs")


if __name__ == "__main__":
    main()
