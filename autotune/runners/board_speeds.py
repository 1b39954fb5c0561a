"""Speeds of the boards under one key, told by the reference kernel: unlike boards are told apart."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from autotune.devices.rpc_tracker import Address

# Boards of one make differ by a few hundredths at their fastest; another make, clock or heat sink by more.
_UNLIKE = 1.3
# So many times of a board are its fastest at least once, whatever else ran meanwhile.
_LEAST_TIMES = 5
_REMEMBERED = 25


@dataclass
class BoardSpeeds:
    """Times of the reference kernel on each board, held against those of its like.

    A board's speed is its fastest of the last 25 times. What is usual is the median of the boards; of two boards, the
    faster one's.
    """

    _secs: dict[Address, deque[float]] = field(default_factory=dict)

    def observe(self, address: Address, reference_secs: float) -> float:
        """Takes in a time; how many times slower than its like the board is, 1.0 where it is alike or alone."""
        self._secs.setdefault(address, deque(maxlen=_REMEMBERED)).append(reference_secs)
        fastest = {one: min(secs) for one, secs in self._secs.items()}
        ratio = fastest[address] / _usual(fastest)
        return ratio if ratio > _UNLIKE else 1.0

    @property
    def unlike(self) -> Mapping[Address, float]:
        """The boards that are slower or faster than their like, and how many times slower; at least one board is not
        among them."""
        fastest = {one: min(secs) for one, secs in self._secs.items() if len(secs) >= _LEAST_TIMES}
        if len(fastest) < 2:
            return {}
        usual = _usual(fastest)
        ratios = {one: secs / usual for one, secs in fastest.items()}
        return {one: ratio for one, ratio in ratios.items() if not 1 / _UNLIKE <= ratio <= _UNLIKE}


def _usual(fastest: Mapping[Address, float]) -> float:
    """The usual time: the lower median, which is one of the boards' own."""
    return statistics.median_low(fastest.values())
