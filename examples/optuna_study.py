"""Optimise any function of parameters with the search's own sampler, in an ordinary Optuna study.

python examples/optuna_study.py --trials 100
"""

import argparse

import optuna

import autotune


def cycles(trial: optuna.Trial) -> float:
    """A made-up processor's time for a tiled loop: integers, categories, and tiles that do not fit its cache."""
    rows = trial.suggest_int("rows", 1, 256, log=True)
    columns = trial.suggest_int("columns", 1, 256, log=True)
    order = trial.suggest_categorical("order", ["ijk", "ikj", "jki"])
    if rows * columns > 4096:
        raise optuna.TrialPruned  # such parameters are avoided from then on
    reuse = rows * columns / (rows + columns)
    return (1.0 + 64.0 / reuse) * {"ijk": 1.5, "ikj": 1.0, "jki": 3.0}[order]


def main() -> None:
    """Runs a study with our sampler and one with Optuna's random sampler."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = {
        "cost model": autotune.CostModelSampler(seed=0),
        "random": optuna.samplers.RandomSampler(seed=0),
    }
    for name, sampler in samplers.items():
        study = optuna.create_study(sampler=sampler)
        study.optimize(cycles, n_trials=options.trials)
        print(f"{name}: {study.best_value:.3f} cycles with {study.best_params}")


if __name__ == "__main__":
    main()
