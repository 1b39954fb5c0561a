"""The random streams of searches and collections, pinned bit for bit: shipped logs were drawn with them."""

import hashlib
from collections.abc import Iterable

import numpy as np
import optuna
import pytest

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.collection import Collection
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Config, ToySpace
from tuning_logs import TuningLog

SPACES = {space.task: space for space in (ToySpace(256), ToySpace(1024), ToySpace(2))}
TASKS = tuple(SPACES)


def digest(configs: Iterable[Config]) -> str:
    """Twelve hexadecimal digits that tell one sequence of configs from another."""
    return hashlib.sha256("\n".join(config.key for config in configs).encode()).hexdigest()[:12]


def tune(log: TuningLog, kind: SamplerKind, seed: int, trials: int) -> list[Config]:
    job = TuningJob(
        TASKS,
        DEVICE,
        Budget(trials=trials),
        seed,
        batch=16,
        space=lambda task: SPACES[task],
        sampler=sampler_factory(kind),
    )
    machine = ToyMachine()
    rounds = Tuner(job, log, machine, machine, lambda: 0.0).rounds()
    return [record.config for records in rounds for record in records]


def collect(log: TuningLog, seed: int, trials: int) -> list[Config]:
    machine = ToyMachine()
    collection = Collection(
        TASKS,
        DEVICE,
        log,
        Budget(trials=trials),
        seed=seed,
        batch=16,
        builder=machine,
        runner=machine,
        space=lambda task: SPACES[task],
    )
    records = [record for records in collection.rounds() for record in records]
    # Each task has a stream of its own: which task comes first is no matter of chance.
    return [record.config for record in sorted(records, key=lambda each: each.task.key)]


@pytest.mark.parametrize(
    ("kind", "seed", "expected"),
    [
        (SamplerKind.COST_MODEL, 0, "fc352bde0e96 a0c106244c89"),
        (SamplerKind.RANDOM, 0, "2f12b2faa258 3ad4a78d124c"),
    ],
)
def test_a_tuner_measures_the_pinned_configs_then_those_of_its_second_run(
    kind: SamplerKind, seed: int, expected: str
) -> None:
    log = TuningLog.in_memory()
    first, second = tune(log, kind, seed, 48), tune(log, kind, seed, 16)
    assert f"{digest(first)} {digest(second)}" == expected


@pytest.mark.parametrize(
    ("seed", "expected"), [(0, "5d85990489a0 33169db497f6"), (3, "7e7527d4fe75 3f220d263c4b")]
)
def test_a_collection_measures_the_pinned_configs_then_those_of_its_second_run(
    seed: int, expected: str
) -> None:
    log = TuningLog.in_memory()
    first, second = collect(log, seed, 70), collect(log, seed, 100)
    assert f"{digest(first)} {digest(second)}" == expected


def test_a_study_of_any_objective_runs_the_pinned_trials() -> None:
    def objective(trial: optuna.Trial) -> float:
        wide = trial.suggest_float("wide", 1e-3, 10.0, log=True)
        number = trial.suggest_int("number", 1, 200)
        name = trial.suggest_categorical("name", ["a", "b", "c"])
        return abs(np.log(wide)) + abs(number - 70) / 50 + (name == "a")

    study = optuna.create_study(sampler=CostModelSampler(seed=0))
    study.optimize(objective, n_trials=24)
    text = "\n".join(f"{each.params['number']} {each.params['name']}" for each in study.trials)
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "ddc08c47a8cb"
