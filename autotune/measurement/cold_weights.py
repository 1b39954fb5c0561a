"""Operands of consecutive runs whose weights are not in the caches, as those of a kernel inside a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from autotune.measurement.guarded_array import GuardedArray

# Of a small weight; more would not be colder.
_MOST_COPIES = 64


def with_cold_weights(
    operands: Sequence[GuardedArray], weights: Collection[int], cache_bytes: int
) -> list[list[GuardedArray]]:
    """The operands of as many runs in turns as it takes for their weights to be evicted before they are read again.

    weights: the places of constant weights among the operands, of which each turn but the first has copies;
    cache_bytes: the caches that a run empties of them, those of its cores alone. Weights of twice that size evict
    themselves. The other operands are shared. Timed on warm operands, the tuned kernels of a MobileNetV3 sum up to 0.6
    of the time that they take in the model.
    """
    size = sum(operands[place].data.size for place in weights)
    evicts_itself = size >= 2 * cache_bytes
    turns = 1 if evicts_itself or not size else min(_MOST_COPIES, 1 + math.ceil(cache_bytes / size))
    found = [list(operands)]
    for _ in range(turns - 1):
        found.append(
            [
                GuardedArray.holding(array.values) if place in weights else array
                for place, array in enumerate(operands)
            ]
        )
    return found
