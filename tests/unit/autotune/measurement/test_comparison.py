"""Right results pass whatever the order of their sums; wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.measurement.guarded_array import GuardedArray, sentinels
from autotune.measurement.inputs import Signs, draw_inputs
from autotune.measurement.output_check import compare, tolerance
from search_spaces.tensor_ir.modules import TensorSpec


def products(length: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((64, length), np.float32), rng.standard_normal((length, 64), np.float32)


@pytest.mark.parametrize("length", [16, 512, 20000])
def test_another_order_of_summing_is_right(length: int) -> None:
    left, right = products(length)
    forth = np.cumsum(left[:, :, None] * right[None, :, :8], axis=1, dtype=np.float32)[:, -1]
    back = np.cumsum((left[:, :, None] * right[None, :, :8])[:, ::-1], axis=1, dtype=np.float32)[:, -1]
    assert not np.array_equal(forth, back)
    assert compare(forth, back, length).mistake is None


@pytest.mark.parametrize("length", [16, 512, 20000])
def test_one_product_too_few_is_wrong(length: int) -> None:
    left, right = products(length)
    found = compare(left[:, 1:] @ right[1:], left @ right, length)
    assert "off by more than" in str(found.mistake)
    assert found.check.max_rel_error > tolerance("float32", length)


def test_an_element_never_written_is_wrong_and_counted() -> None:
    array = GuardedArray.allocate((4, 4), "float32")
    array.fill_with_sentinel()
    array.values[:3] = 1.0
    found = compare(array.values, np.ones((4, 4), np.float32), 1)
    assert found.mistake == "4 of 16 output elements were never written"


def test_nan_is_right_only_where_the_reference_has_one() -> None:
    reference = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
    assert compare(reference.copy(), reference, 1).mistake is None
    assert "NaN" in str(
        compare(np.array([np.nan, np.nan, np.inf, -np.inf], np.float32), reference, 1).mistake
    )
    assert "NaN" in str(compare(np.array([1, 1, np.inf, -np.inf], np.float32), reference, 1).mistake)
    assert "infinite" in str(compare(np.array([1, np.nan, 5, -np.inf], np.float32), reference, 1).mistake)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "bool"])
def test_integers_must_be_equal(dtype: str) -> None:
    reference = np.array([0, 1, 1, 0]).astype(dtype)
    assert compare(reference.copy(), reference, 100).mistake is None
    wrong = reference.copy()
    wrong[2] = 0
    assert compare(wrong, reference, 100).mistake == "1 of 4 output elements differ"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "int64", "bool"])
def test_a_sentinel_is_recognised_and_ordinary_values_are_not(dtype: str) -> None:
    array = GuardedArray.allocate((5,), dtype)
    array.fill_with_sentinel()
    assert sentinels(array.data, dtype).all()
    array.values[...] = np.ones(5).astype(dtype)
    assert not sentinels(array.data, dtype).any()


@pytest.mark.parametrize("offset", [-1, -4096, 0, 4095])
def test_a_write_outside_is_noticed(offset: int) -> None:
    array = GuardedArray.allocate((3,), "float32")
    array.values[...] = 0
    assert array.intact
    array.memory[4096 + (offset if offset < 0 else array.data.size + offset)] = 0
    assert not array.intact


def test_inputs_are_the_tasks_own_and_safe_to_index_with() -> None:
    signature = (
        TensorSpec((30, 7), "float32", is_output=False, is_layout_free=False),
        TensorSpec((1000,), "int64", is_output=False, is_layout_free=False),
        TensorSpec((1000, 7), "float32", is_output=True, is_layout_free=False),
    )
    table, indices = draw_inputs("key", signature, Signs.MIXED)
    again = draw_inputs("key", signature, Signs.MIXED)
    assert all(np.array_equal(one, other) for one, other in zip((table, indices), again, strict=True))
    assert not np.array_equal(table, draw_inputs("other key", signature, Signs.MIXED)[0])
    assert indices.min() == 0
    assert indices.max() == 6
    assert (table < 0).any()
    assert (draw_inputs("key", signature, Signs.POSITIVE)[0] > 0).all()


def test_what_is_below_the_normal_numbers_may_be_flushed_to_zero() -> None:
    tiny = np.array([7e-42, 0.0, -3e-39], np.float32)
    assert compare(np.zeros_like(tiny), tiny, 1.0).mistake is None
    assert compare(np.full_like(tiny, 1e-37), tiny, 1.0).mistake is not None
