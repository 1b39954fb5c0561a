"""What the measures of a cost model say about predictions that one can judge by eye."""

import math

import numpy as np
import pytest

from cost_models.evaluation.metrics import pairwise_accuracy, spearman, top_k_score

SCORES = np.array([1.0, 0.5, 0.25, 0.8, 1.0])
GROUPS = np.array([0, 0, 0, 1, 1])


def test_a_perfect_order_is_perfect_on_any_scale() -> None:
    predicted = np.exp(SCORES) - 7
    assert top_k_score(SCORES, predicted, GROUPS, 1) == 1.0
    assert pairwise_accuracy(SCORES, predicted, GROUPS) == 1.0
    assert spearman(SCORES, predicted, GROUPS) == pytest.approx(1.0)


def test_the_reverse_order_is_worst() -> None:
    assert top_k_score(SCORES, -SCORES, GROUPS, 1) == pytest.approx((0.25 + 0.8) / 2)
    assert pairwise_accuracy(SCORES, -SCORES, GROUPS) == 0.0
    assert spearman(SCORES, -SCORES, GROUPS) == pytest.approx(-1.0)


def test_more_guesses_find_the_best() -> None:
    assert top_k_score(SCORES, -SCORES, GROUPS, 3) == 1.0


def test_predicting_nothing_counts_as_a_coin() -> None:
    flat = np.zeros(5)
    assert pairwise_accuracy(SCORES, flat, GROUPS) == 0.5
    assert spearman(SCORES, flat, GROUPS) == 0.0


def test_groups_with_nothing_to_compare_are_left_out() -> None:
    scores, groups = np.array([1.0, 0.5, 0.0, 0.0]), np.array([0, 0, 1, 1])
    assert top_k_score(scores, scores, groups, 1) == 1.0
    assert spearman(scores, scores, groups) == pytest.approx(1.0)
    assert math.isnan(pairwise_accuracy(np.zeros(2), np.zeros(2), np.zeros(2, dtype=np.int64)))
