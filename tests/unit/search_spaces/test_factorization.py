"""Perfect tilings: all of them, once each, within the limit."""

from itertools import product
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.factorization import factorizations


@given(st.integers(1, 60), st.integers(1, 3), st.sampled_from([-1, 1, 4, 64]))
def test_exactly_the_tuples_with_that_product_and_limit(extent: int, device_runs: int, limit: int) -> None:
    expected = {
        factors
        for factors in product(range(1, extent + 1), repeat=device_runs)
        if prod(factors) == extent and (limit == -1 or factors[-1] <= limit)
    }
    found = factorizations(extent, device_runs, limit)
    assert set(found) == expected
    assert len(found) == len(expected)


def test_large_loops_are_quick_to_tile() -> None:
    assert len(factorizations(4096, 4, -1)) == 455
    assert all(prod(factors) == 4096 for factors in factorizations(4096, 4, 64))
