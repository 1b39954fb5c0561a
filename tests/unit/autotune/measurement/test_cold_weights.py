"""Turns of operands: weights that no recent run has read, and everything else shared."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autotune.measurement.cold_weights import with_cold_weights
from autotune.measurement.guarded_array import GuardedArray

KIB = 1 << 10


def operands(*sizes: int) -> list[GuardedArray]:
    rng = np.random.default_rng(0)
    return [GuardedArray.holding(rng.standard_normal(size // 4, np.float32)) for size in sizes]


@given(st.integers(1, 64), st.integers(0, 512))
def test_other_turns_read_more_than_the_caches_hold(weight_kib: int, cache_kib: int) -> None:
    turns = with_cold_weights(operands(64, weight_kib * KIB, 64), [1], cache_kib * KIB)
    assert len({turn[1].data.ctypes.data for turn in turns}) == len(turns)
    others = sum(turn[1].data.size for turn in turns[1:])
    assert others >= cache_kib * KIB or len(turns) == 64 or weight_kib >= 2 * cache_kib


def test_weights_are_equal_and_the_rest_is_the_same_memory() -> None:
    given = operands(256, 4 * KIB, 256)
    turns = with_cold_weights(given, [1], 16 * KIB)
    assert len(turns) == 5
    for turn in turns:
        np.testing.assert_array_equal(turn[1].values, given[1].values)
        assert (turn[0], turn[2]) == (given[0], given[2])


def test_weights_that_evict_themselves_are_not_copied() -> None:
    given = operands(256, 64 * KIB)
    assert with_cold_weights(given, [1], 32 * KIB) == [given]


def test_an_operator_without_weights_has_one_turn() -> None:
    given = operands(256, 256)
    assert with_cold_weights(given, [], 1 << 20) == [given]
