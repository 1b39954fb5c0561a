"""Operands of consecutive runs whose weights are not in the caches, as those of a kernel inside a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from autotune.measurement.guarded_array import GuardedArray

# Of a small weight; more would not be colder.
_MOST_COPIES = 63
# Of large weights, as the last cache of a server is larger than what one of its virtual machines has of it.
_MOST_COPIED_BYTES = 1 << 26


def with_cold_weights(
    operands: Sequence[GuardedArray], weights: Collection[int], cache_bytes: int
) -> list[list[GuardedArray]]:
    """The operands of as many runs in turns as it takes for their weights to be evicted before they are read again.

    weights: the places of constant weights among the operands, of which each turn but the first has copies;
    cache_bytes: the caches that a run empties of them. Weights of twice that size evict themselves.
    The other operands are shared. Timed on warm operands, the tuned kernels of a MobileNetV3 sum up to 0.6 of the time
    that they take in the model, and tuned products of a ResNet-50 to 0.5 where the last cache holds their weights.
    """
    size = sum(operands[place].data.size for place in weights)
    evicts_itself = size >= 2 * cache_bytes
    most = min(_MOST_COPIES, _MOST_COPIED_BYTES // max(size, 1))
    turns = 1 if evicts_itself or not size else 1 + min(most, math.ceil(cache_bytes / size))
    found = [list(operands)]
    for _ in range(turns - 1):
        found.append(
            [
                GuardedArray.holding(array.values) if place in weights else array
                for place, array in enumerate(operands)
            ]
        )
    return found
