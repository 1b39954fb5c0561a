"""The referee tells mistakes from rounding: element by element, slice by slice, and by the type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.deployment.referee import Expected, Referee, epsilon_of, expected, judge, of_peer

RNG = np.random.default_rng(0)
FLOAT32 = epsilon_of("float32")


def rounded(values: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """The values, each off by up to one unit in the last place."""
    off = 1 + FLOAT32 * np.random.default_rng(seed).uniform(-1, 1, values.shape)
    return (values * off).astype(np.float32)


def reference(values: npt.NDArray[np.float32]) -> Expected:
    return expected(values, [rounded(values, 1), rounded(values, 2)], FLOAT32)


def detections(boxes_scale: float) -> npt.NDArray[np.float32]:
    """Four boxes' coordinates in pixels and 16 scores below 1, for each of 300 places."""
    scale = np.array([boxes_scale] * 4 + [1.0] * 16).reshape(1, 20, 1)
    return (RNG.uniform(0.1, 1.0, (1, 20, 300)) * scale).astype(np.float32)


@given(st.integers(0, 1000), st.sampled_from([1e-20, 1.0, 640.0, 1e20]))
def test_rounding_is_right_at_every_scale(seed: int, scale: float) -> None:
    values = (np.random.default_rng(seed).standard_normal((3, 40, 5)) * scale).astype(np.float32)
    assert judge([rounded(values, seed + 7)], [reference(values)]).mistake is None


@pytest.mark.parametrize("axis_last", [False, True])
def test_scores_are_judged_as_scores_beside_boxes_in_pixels(axis_last: bool) -> None:
    values = detections(640.0)
    wrong = values.copy()
    wrong[0, 7, :] += 0.01
    if axis_last:
        values, wrong = (np.ascontiguousarray(one.transpose(0, 2, 1)) for one in (values, wrong))
    found = judge([wrong], [reference(values)])
    assert "300 of 6000 elements of output 0 are off by more than rounding explains" in str(found.mistake)
    assert found.check.max_rel_error < 1e-3, "one tolerance for the whole tensor would not see it"


def test_a_sum_that_cancels_may_be_off_by_what_its_terms_were_rounded_by() -> None:
    terms = (RNG.standard_normal((100, 1000)) * 1000).astype(np.float32)
    terms[:, -1] = -terms[:, :-1].sum(axis=1, dtype=np.float64)
    values = terms.sum(axis=1)
    others = [rounded(terms, seed).sum(axis=1) for seed in (1, 2)]
    backwards = terms[:, ::-1].cumsum(axis=1)[:, -1]
    assert judge([backwards], [expected(values, others, FLOAT32)]).mistake is None
    assert judge([backwards + 10], [expected(values, others, FLOAT32)]).mistake is not None


def test_the_worst_element_is_named() -> None:
    values = detections(1.0)
    wrong = values.copy()
    wrong[0, 3, 5], wrong[0, 9, 250] = 2.0, 7.0
    assert "2 of 6000" in str(judge([wrong], [reference(values)]).mistake)
    assert "the worst is 7.0 instead of" in str(judge([wrong], [reference(values)]).mistake)
    assert "at [0, 9, 250]" in str(judge([wrong], [reference(values)]).mistake)


def test_shapes_dtypes_and_the_number_of_outputs_count() -> None:
    values = detections(1.0)
    right = [reference(values)]
    assert "expected 1 outputs, found 2" in str(judge([values, values], right).mistake)
    assert "where the reference has float32 (1, 20, 300)" in str(judge([values[0]], right).mistake)
    assert "is float64" in str(judge([values.astype(np.float64)], right).mistake)


def test_nan_and_infinities_are_right_where_the_reference_has_them() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    right = [expected(values, [values.copy()], FLOAT32)]
    assert judge([values.copy()], right).mistake is None
    for place in range(4):
        wrong = values.copy()
        wrong[place] = 0.5 if place < 3 else np.nan
        assert judge([wrong], right).mistake is not None, place


def test_integers_are_exact_unless_rounding_flips_them() -> None:
    classes = np.arange(100)
    flipped = classes.copy()
    flipped[[3, 50]] += 1
    undecided = [expected(classes, [classes.copy(), flipped], FLOAT32)]
    wrong = classes.copy()
    wrong[:20] += 1
    assert judge([flipped], undecided).mistake is None
    assert judge([wrong], undecided).mistake is not None
    assert judge([flipped], [expected(classes, [classes.copy()], FLOAT32)]).mistake is not None


def test_a_perturbed_run_of_another_shape_says_nothing() -> None:
    values = detections(1.0)
    found = expected(values, [values[:, :5], rounded(values, 1)], FLOAT32)
    assert judge([rounded(values, 2)], [found]).mistake is None


@pytest.mark.parametrize(("dtype", "allowed", "refused"), [("float16", 1e-3, 0.3), ("bfloat16", 8e-3, 0.9)])
def test_half_floats_have_the_tolerance_of_their_type(dtype: str, allowed: float, refused: float) -> None:
    import ml_dtypes  # gives NumPy the name bfloat16

    assert ml_dtypes
    values = RNG.uniform(0.5, 1.0, (4, 100)).astype(np.dtype(dtype))
    off = (values.astype(np.float32) * (1 + allowed)).astype(np.dtype(dtype))
    wrong = (values.astype(np.float32) * (1 + refused)).astype(np.dtype(dtype))
    right = [expected(values, [values.astype(np.float32) * (1 + epsilon_of(dtype) / 2)], epsilon_of(dtype))]
    assert judge([off], right).mistake is None
    assert judge([wrong], right).mistake is not None


def test_the_draw_with_a_mistake_decides() -> None:
    values = detections(1.0)
    referee = Referee(((reference(values),), (reference(values),)))
    assert referee.judge([(values,), (values,)]).mistake is None
    assert referee.judge([(values,), (values + 1,)]).mistake is not None
    assert referee.judge([(values + 1,), (values,)]).mistake is not None


def test_another_build_as_the_reference_has_one_tolerance_for_each_output() -> None:
    values = detections(1.0)
    assert judge([values * np.float32(1 + 1e-6)], of_peer([values])).mistake is None
    assert judge([values[:, ::-1]], of_peer([values])).mistake is not None
    assert judge([np.full_like(values, np.nan)], of_peer([values])).mistake is not None


def test_empty_outputs_are_right() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert judge([empty], [expected(empty, [empty], FLOAT32)]).mistake is None


def test_what_is_below_the_normal_numbers_may_be_flushed_to_zero() -> None:
    tiny = np.array([7e-42, 0.0, -3e-39], np.float32)
    assert judge([np.zeros_like(tiny)], of_peer([tiny])).mistake is None
    assert judge([np.full_like(tiny, 1e-37)], of_peer([tiny])).mistake is not None
