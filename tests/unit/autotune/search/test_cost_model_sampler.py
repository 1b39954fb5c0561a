"""The Optuna sampler in plain studies: it finds, avoids, never repeats, and can be replayed."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import Trial, TrialState

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.proposer import ConfigProposer
from search_spaces.errors import Misuse
from search_spaces.tabular_space import TabularSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)


def sampler(seed: int = 0, batch: int = 4) -> CostModelSampler:
    return CostModelSampler(seed=seed, batch=batch, proposer=ConfigProposer(draft=200))


def mixed(trial: Trial) -> float:
    """Best at x = 0.3, n = 64, kind = "good": 0 there."""
    x = trial.suggest_float("x", -1.0, 1.0)
    n = trial.suggest_int("n", 1, 1024, log=True)
    kind = trial.suggest_categorical("kind", ["bad", "good", "worse"])
    return (x - 0.3) ** 2 + abs(math.log2(n) - 6) / 4 + {"bad": 1.0, "good": 0.0, "worse": 2.0}[kind]


def best(which: optuna.samplers.BaseSampler, n_trials: int = 60) -> float:
    study = optuna.create_study(sampler=which)
    study.optimize(mixed, n_trials=n_trials)
    return study.best_value


def test_it_gets_closer_than_random_search_on_an_ordinary_objective() -> None:
    ours = sorted(best(sampler(seed)) for seed in range(3))[1]
    random = sorted(best(optuna.samplers.RandomSampler(seed=seed)) for seed in range(3))[1]
    assert ours < random / 3


def test_maximising_is_minimising_turned_round() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler())
    study.optimize(lambda trial: -mixed(trial), n_trials=60)
    assert study.best_value == -best(sampler())


def test_no_trial_is_repeated_until_everything_was_tried() -> None:
    study = optuna.create_study(sampler=sampler(batch=5))
    study.optimize(
        lambda trial: trial.suggest_int("a", 0, 5) * trial.suggest_categorical("b", [1, 2, 3]), n_trials=18
    )
    assert len({(trial.params["a"], trial.params["b"]) for trial in study.trials}) == 18
    study.optimize(
        lambda trial: trial.suggest_int("a", 0, 5) * trial.suggest_categorical("b", [1, 2, 3]), n_trials=2
    )
    assert all(trial.state is TrialState.COMPLETE for trial in study.trials)


def test_dependent_parameters_do_not_make_trials_repeat() -> None:
    def objective(trial: Trial) -> float:
        if trial.suggest_categorical("style", ["plain", "tiled"]) == "plain":
            return trial.suggest_int("unroll", 0, 3)
        return trial.suggest_int("tile", 1, 20)

    study = optuna.create_study(sampler=sampler())
    study.optimize(objective, n_trials=24)
    later = [tuple(sorted(trial.params.items())) for trial in study.trials[4:]]
    assert len(set(later)) == len(later)


@pytest.mark.parametrize("how", ["violates", "fails", "is pruned"])
def test_a_region_that_does_not_work_is_left_alone(how: str) -> None:
    def objective(trial: Trial) -> float:
        # The value alone would lead straight into the bad half.
        x, y = trial.suggest_int("x", 0, 63), trial.suggest_int("y", 0, 63)
        if x >= 32:
            if how == "violates":
                trial.set_constraint("x is small", 1.0)
            elif how == "fails":
                raise ArithmeticError
            else:
                raise optuna.TrialPruned
        return float(y - x)

    study = optuna.create_study(sampler=sampler())
    study.optimize(objective, n_trials=60, catch=ArithmeticError)
    bad = [trial.params["x"] >= 32 for trial in study.trials]
    assert sum(bad[30:]) < 10


def test_the_same_seed_and_the_same_recorded_times_give_the_same_trials(recorded_space: TabularSpace) -> None:
    def search(seed: int) -> list[dict[str, object]]:
        study = optuna.create_study(sampler=sampler(seed))
        for _ in range(40):
            trial = study.ask()
            config = recorded_space.answer(
                lambda decision, trial=trial: trial.suggest_int(decision.name, 0, len(decision.choices) - 1)
            )
            outcome = recorded_space.table.get(config)
            if outcome is None or not outcome.ran:
                trial.set_constraint("runs", 1.0)
            study.tell(trial, outcome.secs if outcome is not None and outcome.ran else 1.0)
        return [trial.params for trial in study.trials]

    assert search(3) == search(3)
    assert search(3) != search(4)


def test_trials_that_are_running_are_not_handed_out_again() -> None:
    study = optuna.create_study(sampler=sampler())
    space = {name: optuna.distributions.IntDistribution(0, 9) for name in "ab"}
    for _ in range(12):
        study.tell(study.ask(space), 1.0)
    running = [study.ask(space).params for _ in range(40)]
    assert len({tuple(params.items()) for params in running}) == 40


def test_a_study_may_be_stored_and_gone_on_with(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(study_name="s", storage=storage, sampler=sampler()).optimize(mixed, n_trials=12)
    study = optuna.load_study(study_name="s", storage=storage, sampler=sampler(1))
    study.optimize(mixed, n_trials=4)
    assert len(study.trials) == 16


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(Misuse, match="at least one trial"):
        CostModelSampler(batch=0)
