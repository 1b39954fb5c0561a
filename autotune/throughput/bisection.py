"""Bisection for the largest load that holds, where each test costs time and its outcome is not certain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

# Steps away from the first guess, until there is a load that holds and one that does not.
_UP, _DOWN = 1.12, 0.85
# Below this share of the guess no load is expected to hold.
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Bracket:
    """The largest load that was found to hold, 0 where none was, and the smallest that was not, None where all held."""

    holds_per_second: float
    fails_per_second: float | None

    def is_within(self, ratio: float) -> bool:
        """Whether the two are as close as that."""
        return self.fails_per_second is not None and self.fails_per_second <= ratio * self.holds_per_second

    def refined(self, longer: Mapping[float, bool], shorter: Mapping[float, bool]) -> Bracket:
        """The bracket by the outcomes of longer tests, which count where shorter ones say something else.

        Where none of the longer tests was met, the shorter ones below them are all there is.
        """
        failed = sorted(load for load, is_met in longer.items() if not is_met)
        holds = max((load for load, is_met in longer.items() if is_met), default=0.0)
        if not failed or holds > failed[-1]:
            return replace(self, holds_per_second=max(self.holds_per_second, holds))
        if holds == 0.0:
            holds = max(
                (load for load, is_met in shorter.items() if is_met and load < failed[0]), default=0.0
            )
        return Bracket(holds, next(load for load in failed if load > holds))


def largest_holding(
    holds: Callable[[float], bool],
    guess_per_second: float,
    ratio: float,
    can_go_on: Callable[[], bool],
    further: Callable[[float], float] = lambda load: load,
) -> Bracket:
    """Brackets the largest load that holds, until the ends are within a ratio or no test may follow.

    holds: tests a load; can_go_on: asked before each test; further: a load to test after one that holds while none
    failed. Steps grow from the guess on, to no less than that load, then the logarithm is halved.
    """
    found, load, step = Bracket(0.0, None), guess_per_second, 1.0
    while can_go_on() and guess_per_second > 0.0:
        if holds(load):
            found = Bracket(max(load, found.holds_per_second), found.fails_per_second)
        else:
            found = Bracket(found.holds_per_second, load)
        if found.is_within(ratio):
            break
        if found.fails_per_second is None:
            step *= _UP
            load = max(found.holds_per_second * step, further(found.holds_per_second))
        elif found.holds_per_second == 0.0:
            step *= _DOWN
            load = found.fails_per_second * step
            if load < _LEAST_SHARE * guess_per_second:
                break
        else:
            load = (found.holds_per_second * found.fails_per_second) ** 0.5
    return found
