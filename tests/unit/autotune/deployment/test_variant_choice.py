"""The sizes that are built: few, legal, the largest among them, and fast enough for all others where so many may be."""

from __future__ import annotations

import math
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from autotune.deployment.variant_choice import ChoiceAxis, choose_variants
from autotune.models.dynamic_inputs import Sizes
from autotune.models.size_range import SizeRange
from tests.support.hypothesis_profiles import examples

RANGES = st.builds(
    lambda low, step, count: SizeRange(low, low + step * count, step),
    st.integers(1, 64),
    st.integers(1, 32),
    st.integers(0, 11),
)
AXES = st.lists(st.builds(ChoiceAxis, RANGES, st.booleans()), min_size=1, max_size=2)


def area(sizes: Sizes) -> float:
    """A cost with a part that does not depend on sizes."""
    return 20.0 + math.prod(sizes)


def slowdown(axes: list[ChoiceAxis], variants: tuple[Sizes, ...], sizes: Sizes) -> float:
    """The cost of the cheapest variant that computes sizes by their own, infinite where none does."""
    costs = [
        area(one)
        for one in variants
        if all(
            have == wanted or (axis.is_padded and have > wanted)
            for axis, have, wanted in zip(axes, one, sizes, strict=True)
        )
    ]
    return min(costs, default=math.inf) / area(sizes)


def legal(axes: list[ChoiceAxis]) -> list[Sizes]:
    return list(product(*(axis.sizes.sizes for axis in axes)))


@given(AXES, st.integers(1, 20))
@examples(200)
def test_variants_are_few_distinct_legal_and_in_the_order_of_their_cost(
    axes: list[ChoiceAxis], most: int
) -> None:
    variants = choose_variants(axes, area, most)
    assert 1 <= len(variants) <= most
    assert len(set(variants)) == len(variants)
    assert set(variants) <= set(legal(axes))
    assert tuple(axis.sizes.high for axis in axes) in variants
    assert [area(one) for one in variants] == sorted(map(area, variants))


@given(AXES)
@examples(200)
def test_without_a_limit_every_size_is_computed_and_none_is_slow(axes: list[ChoiceAxis]) -> None:
    variants = choose_variants(axes, area, 10_000)
    slowdowns = [slowdown(axes, variants, sizes) for sizes in legal(axes)]
    assert max(slowdowns) <= 1.5
    assert math.exp(sum(map(math.log, slowdowns)) / len(slowdowns)) <= 1.15


@given(st.lists(st.builds(ChoiceAxis, RANGES, st.just(True)), min_size=1, max_size=2), st.integers(1, 6))
@examples(100)
def test_more_variants_are_no_slower_and_padding_computes_every_size(
    axes: list[ChoiceAxis], most: int
) -> None:
    few, more = (choose_variants(axes, area, count) for count in (most, most + 1))
    means = [
        sum(math.log(slowdown(axes, variants, sizes)) for sizes in legal(axes)) for variants in (few, more)
    ]
    assert math.isfinite(means[0])
    assert means[1] <= means[0] + 1e-9


def test_sizes_that_cost_the_same_are_one_variant() -> None:
    assert choose_variants([ChoiceAxis(SizeRange(1, 8), True)], lambda _sizes: 1.0, 10) == ((8,),)


def test_sizes_that_padding_reaches_divide_evenly() -> None:
    found = choose_variants([ChoiceAxis(SizeRange(1, 128), True)], lambda sizes: 10.0 + sizes[0], 100)
    assert 8 <= len(found) <= 16
    assert all(size % (16 if size >= 64 else 8 if size >= 32 else 4) == 0 for (size,) in found if size >= 16)
    exact = choose_variants([ChoiceAxis(SizeRange(17, 21, 2), False)], area, 100)
    assert exact == ((17,), (19,), (21,))


def test_large_ranges_are_looked_at_in_part() -> None:
    axes = [ChoiceAxis(SizeRange(1, 100_000), True), ChoiceAxis(SizeRange(1, 4096), True)]
    variants = choose_variants(axes, area, 6)
    assert len(variants) == 6
    assert (100_000, 4096) in variants
