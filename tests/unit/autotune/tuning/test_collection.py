"""Collecting a sample to learn from: fair, spread out, the fast end included, and never the same twice."""

from collections import Counter

import numpy as np
import pytest

from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.collection import LABELS, Collection
from search_spaces import IllegalSchedule, Misuse, ToySpace
from tuning_logs import FailureKind, TuningLog, TuningRecord

SPACES = {space.task: space for space in (ToySpace(256), ToySpace(1024), ToySpace(2))}


def collect(
    log: TuningLog,
    *extents: int,
    budget: Budget,
    machine: ToyMachine | None = None,
    seed: int = 0,
) -> list[TuningRecord]:
    machine = machine or ToyMachine()
    tasks = [ToySpace(extent).task for extent in extents]
    collection = Collection(
        tasks,
        DEVICE,
        log,
        budget,
        seed=seed,
        batch=16,
        builder=machine,
        runner=machine,
        space=lambda task: SPACES[task],
    )
    return [record for records in collection.rounds() for record in records]


def searched(records: list[TuningRecord]) -> list[TuningRecord]:
    return [record for record in records if record.config != SPACES[record.task].default]


def test_every_task_gets_as_many_trials_and_a_small_space_is_measured_to_the_end() -> None:
    records = collect(TuningLog.in_memory(), 256, 1024, 2, budget=Budget(trials=100))
    counts = Counter(record.task.name for record in searched(records))
    assert sum(counts.values()) == 100
    assert counts["toy_2"] == SPACES[ToySpace(2).task].size - 1
    assert abs(counts["toy_256"] - counts["toy_1024"]) <= 16


def test_few_trials_reach_every_task() -> None:
    records = collect(TuningLog.in_memory(), 256, 1024, budget=Budget(trials=6))
    assert Counter(record.task.name for record in searched(records)) == {"toy_256": 3, "toy_1024": 3}


def test_the_untuned_program_is_measured_first_and_is_no_trial() -> None:
    records = collect(TuningLog.in_memory(), 256, budget=Budget(trials=10))
    assert records[0].config == SPACES[records[0].task].default
    assert len(searched(records)) == 10


def test_a_second_run_goes_on_and_measures_nothing_twice() -> None:
    log = TuningLog.in_memory()
    collect(log, 256, budget=Budget(trials=20))
    again = ToyMachine()
    more = collect(log, 256, budget=Budget(trials=50), machine=again)
    assert len(more) == 30
    configs = [record.config for record in log.iterate()]
    assert len(set(configs)) == len(configs) == 51
    # The untuned program runs once more, because the others are compared with it.
    assert again.measured[0].config == ToySpace(256).default
    assert collect(log, 256, budget=Budget(trials=50)) == []


def test_a_task_whose_untuned_program_fails_is_left_alone() -> None:
    machine = ToyMachine(fails=lambda candidate: candidate.config == ToySpace(256).default)
    records = collect(TuningLog.in_memory(), 256, budget=Budget(trials=20), machine=machine)
    assert [getattr(record.measurement, "kind", None) for record in records] == [FailureKind.BUILD_ERROR]


def test_the_sample_covers_the_whole_range_of_speed() -> None:
    space = SPACES[ToySpace(1024).task]
    rng = np.random.default_rng(0)
    log = TuningLog.in_memory()
    records = searched(collect(log, 1024, budget=Budget(trials=120)))
    secs = np.array([record.secs for record in records])
    drawn = {}
    while len(drawn) < 120:
        try:
            candidate = space.apply(lambda decision: int(rng.integers(len(decision.choices))))
        except IllegalSchedule:
            continue
        drawn[candidate.config] = candidate.schedule.run_secs
    at_random = np.array(list(drawn.values()))
    fast = np.quantile(at_random, 0.05)
    # More than twice as many of the fast end as chance brings, and yet a good part of the slow half.
    assert (secs <= fast).mean() >= 0.1
    assert (secs >= np.median(at_random)).mean() >= 0.15


def test_the_same_seed_collects_the_same_sample() -> None:
    first, second, other = (
        [r.config for r in collect(TuningLog.in_memory(), 256, budget=Budget(trials=60), seed=seed)]
        for seed in (3, 3, 4)
    )
    assert first == second != other


def test_the_time_ends_a_collection() -> None:
    records = collect(TuningLog.in_memory(), 256, budget=Budget(trials=10**6, secs=1e-9))
    assert records == []


def test_a_slow_candidates_label_is_not_that_of_its_cold_start() -> None:
    def run(_calls: int) -> float:
        return 0.004

    # The first run took 40 ms, most of it to wake up: the second tells what the kernel takes.
    reading = LABELS.read(0.04, run, 0.001)
    assert reading.censored
    assert reading.run_secs == (0.004,)


def test_nothing_to_collect_is_misuse() -> None:
    with pytest.raises(Misuse, match="expected tasks"):
        Collection([], DEVICE, TuningLog.in_memory(), Budget(trials=5))
