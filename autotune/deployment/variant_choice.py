"""Choice of the sizes that are built of a model with dynamic axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from autotune.models.dynamic_inputs import Sizes
from autotune.models.size_range import SizeRange

# More sizes are chosen until the slowdown is this small, as a geometric mean and at worst: dispatching and copying,
# and tuning that is spread over more variants, cost some of what is allowed.
_MEAN_GOAL, _WORST_GOAL = 1.10, 1.33
# The slowdown of an untuned build for any size, in orders of magnitude.
_UNBUILT_SLOWDOWN = 30.0
# Loops of 21 rows are tiled worse than those of 24: the preference for a size that padding reaches, and its multiples.
_UNEVEN_SLOWDOWN, _MAX_MULTIPLE = 1.2, 16
# Sizes that are looked at, spread evenly by ratio where there are more.
_MAX_CANDIDATES, _MAX_SHAPES = 400, 1600


@dataclass(frozen=True, slots=True)
class ChoiceAxis:
    """An axis as the choice sees it: its sizes, and whether smaller ones are padded up to larger ones."""

    sizes: SizeRange
    is_padded: bool


def choose_variants(
    axes: Sequence[ChoiceAxis], cost: Callable[[Sizes], float], most: int
) -> tuple[Sizes, ...]:
    """The sizes to build, at most so many, in ascending order of cost; the largest are always among them.

    cost: of one run at given sizes, in any unit. Each size more is the one that lowers the geometric mean of the
    slowdowns by most, over all sizes alike; a slowdown is the cost of the cheapest variant that computes a size by its
    own. Along padded axes, sizes that divide evenly are taken before others. Stops where the goals are reached.
    """
    candidates = _spread([axis.sizes for axis in axes], _MAX_CANDIDATES)
    shapes = _spread([axis.sizes for axis in axes], _MAX_SHAPES)
    slowdowns = _slowdowns(axes, candidates, shapes, cost)
    uneven = np.array([_uneven_slowdown(axes, one) for one in candidates])[:, None]
    chosen = [len(candidates) - 1]
    best = np.minimum(slowdowns[-1], _UNBUILT_SLOWDOWN)
    while len(chosen) < min(most, len(candidates)) and not _is_enough(best):
        after = np.minimum(slowdowns * uneven, best)
        means = np.log(after).mean(axis=1)
        if np.exp(np.log(best).mean()) <= _MEAN_GOAL:
            means += after.max(axis=1)
        chosen.append(int(np.argmin(means)))
        lower = np.minimum(slowdowns[chosen[-1]], best)
        if np.array_equal(lower, best):
            chosen.pop()
            break
        best = lower
    return tuple(sorted((candidates[one] for one in chosen), key=lambda sizes: (cost(sizes), sizes)))


def _uneven_slowdown(axes: Sequence[ChoiceAxis], sizes: Sizes) -> float:
    """A factor above 1 where the size of a padded axis is no multiple of a power of two about a quarter of it."""
    padded = (size for axis, size in zip(axes, sizes, strict=True) if axis.is_padded)
    multiples = ((size, min(1 << max(size.bit_length() - 3, 0), _MAX_MULTIPLE)) for size in padded)
    return _UNEVEN_SLOWDOWN if any(size % multiple for size, multiple in multiples) else 1.0


def _is_enough(slowdowns: npt.NDArray[np.float64]) -> bool:
    return bool(np.exp(np.log(slowdowns).mean()) <= _MEAN_GOAL and slowdowns.max() <= _WORST_GOAL)


def _slowdowns(
    axes: Sequence[ChoiceAxis],
    candidates: Sequence[Sizes],
    shapes: Sequence[Sizes],
    cost: Callable[[Sizes], float],
) -> npt.NDArray[np.float64]:
    """The slowdown of each size by each candidate, infinite where that does not compute it: candidates by sizes."""
    built, called = np.array(candidates), np.array(shapes)
    is_computed = np.ones((len(candidates), len(shapes)), bool)
    for number, axis in enumerate(axes):
        have, wanted = built[:, number, None], called[None, :, number]
        is_computed &= have >= wanted if axis.is_padded else have == wanted
    costs = np.array([cost(one) for one in candidates])[:, None] / np.array([cost(one) for one in shapes])
    return np.where(is_computed, np.maximum(costs, 1.0), np.inf)


def _spread(ranges: Sequence[SizeRange], most: int) -> list[Sizes]:
    """Sizes of all axes, at most about so many; the smallest and the largest of each range among them."""
    each = max(int(most ** (1 / len(ranges))), 2)
    return list(product(*(_some(one, each) for one in ranges)))


def _some(sizes: SizeRange, most: int) -> list[int]:
    if len(sizes.sizes) <= most:
        return list(sizes.sizes)
    wanted = np.geomspace(sizes.low, sizes.high, most)
    places = np.rint((wanted - sizes.low) / sizes.step).astype(int)
    return [sizes.sizes[place] for place in sorted({int(place) for place in places})]
