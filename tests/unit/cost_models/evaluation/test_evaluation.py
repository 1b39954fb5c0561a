"""Held out means never seen; and what the numbers of a table mean."""

from dataclasses import replace

import numpy as np
import pytest
from tables import table, task_on_device

from cost_models.evaluation.baselines import baselines
from cost_models.evaluation.calibration import calibration
from cost_models.evaluation.held_out import HeldOut, cross_validated, quality, splits, task_scores
from cost_models.evaluation.learning_curve import doublings, learning_curve
from cost_models.record_table import RecordTable
from search_spaces.errors import Misuse


def two_devices() -> RecordTable:
    here, there = table(device="avx512"), table(device="avx2", seed=1)
    return RecordTable(
        np.concatenate([here.features, there.features]),
        np.concatenate([here.secs, there.secs]),
        np.concatenate([here.groups, there.groups + len(here.facts)]),
        here.facts + there.facts,
        here.digests,
    )


@pytest.mark.parametrize("held_out", [HeldOut.TASKS, HeldOut.NETWORKS])
def test_no_task_is_on_both_sides_whatever_the_device(held_out: HeldOut) -> None:
    data = two_devices()
    for _, (train, test) in splits(data, held_out):
        assert not set(data.tasks[train]) & set(data.tasks[test])
        assert len(train) + len(test) == len(data)


def test_every_row_is_judged_once_with_tasks_held_out() -> None:
    data = table()
    tested = np.concatenate([test for _, (_, test) in splits(data, HeldOut.TASKS)])
    assert sorted(tested.tolist()) == list(range(len(data)))


def test_an_operator_of_two_networks_is_unseen_by_the_models_that_are_tested_on_either() -> None:
    data = table()
    shared = replace(data, facts=(task_on_device(0, networks=("net0", "net1")), *data.facts[1:]))
    for name, (train, test) in splits(shared, HeldOut.NETWORKS):
        if name in ("net0", "net1"):
            assert 0 in shared.groups[test]
        assert not set(shared.tasks[train]) & set(shared.tasks[test])


def test_held_out_devices_are_tested_on_records_of_one_device_only() -> None:
    data = two_devices()
    found = list(splits(data, HeldOut.DEVICES))
    assert len(found) == 2
    for name, (_, test) in found:
        assert {data.facts[group].device.name for group in data.groups[test]} == {name.split(",")[0]}


def test_one_network_cannot_be_held_out() -> None:
    lonely = replace(table(), facts=tuple(task_on_device(number) for number in range(8)))
    with pytest.raises(Misuse, match="two networks or more"):
        list(splits(lonely, HeldOut.NETWORKS))


def test_true_scores_are_perfect_and_their_opposite_is_the_worst() -> None:
    data = table()
    best = quality(task_scores(data, data.scores))
    assert (best.top1, best.pairwise, best.weighted_top1) == (1, 1, pytest.approx(1))
    worst = quality(task_scores(data, -data.scores))
    assert worst.top1 == 0
    assert worst.weighted_top1 == 0
    assert worst.pairwise == 0


def test_weights_are_calls_times_seconds() -> None:
    """Two tasks, the second ten times slower and called three times."""
    features = np.zeros((16, 1), dtype=np.float32)
    groups = np.repeat([0, 1], 8)
    secs = np.where(np.tile(np.arange(8), 2) == 0, 1.0, 2.0) * np.where(groups == 0, 1.0, 10.0)
    facts = (task_on_device(0), task_on_device(1, weight=3))
    data = RecordTable(features, secs, groups, facts, ())
    said = np.zeros(16)
    said[0] = 1  # right about the first task
    said[9] = 1  # wrong about the second
    found = quality(task_scores(data, said))
    assert found.top1 == pytest.approx(0.75)
    assert found.weighted_top1 == pytest.approx(31 / 61)


def test_tasks_with_few_configs_are_not_judged() -> None:
    data = table(tasks=3, rows=7)
    assert task_scores(data, data.scores) == []
    with pytest.raises(Misuse, match="at least 8 configs"):
        quality([])


def test_every_learner_but_chance_and_the_line_finds_the_order_of_unseen_tasks() -> None:
    data = table()
    found = {}
    for name, learner in baselines().items():
        scores = []
        for _, said, rows in cross_validated(data, HeldOut.TASKS, learner):
            scores += task_scores(data.rows(rows), said)
        found[name] = quality(scores).pairwise
    assert min(found[name] for name in ("XGBoost, regression", "XGBoost, ranking", "random forest")) > 0.85
    assert 0.4 < found["chance"] < 0.6


def test_more_measurements_make_better_models() -> None:
    data = table(tasks=10)
    few, many = learning_curve(data, baselines()["XGBoost, regression"], [16, 256])
    assert many.pairwise > few.pairwise


def test_counts_double() -> None:
    assert doublings(300) == [64, 128, 256, 300]


def test_probabilities_that_mean_what_they_say_beat_the_mean() -> None:
    rng = np.random.default_rng(0)
    said = rng.random(5000)
    found = calibration(said, rng.random(5000) < said)
    assert found.brier < 0.9 * found.chance_brier
    assert max(abs(one - other) for one, other in found.reliability) < 0.1
