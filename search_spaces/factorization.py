"""All the ways to split one loop into a nest of perfect tiles."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def factorizations(extent: int, parts: int, max_innermost: int) -> tuple[tuple[int, ...], ...]:
    """Every tuple of `parts` factors whose product is `extent`, outermost first, the innermost at most
    `max_innermost` (-1: no limit); sorted from the innermost factor outwards, so that neighbours are alike.

    >>> factorizations(4, 2, -1)
    ((4, 1), (2, 2), (1, 4))
    """
    found = [
        factors for factors in _split(extent, parts) if max_innermost == -1 or factors[-1] <= max_innermost
    ]
    return tuple(sorted(found, key=lambda factors: factors[::-1]))


def _split(extent: int, parts: int) -> list[tuple[int, ...]]:
    if parts == 1:
        return [(extent,)]
    return [(*rest, inner) for inner in _divisors(extent) for rest in _split(extent // inner, parts - 1)]


@lru_cache(maxsize=4096)
def _divisors(number: int) -> tuple[int, ...]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return tuple(sorted({*small, *(number // d for d in small)}))
