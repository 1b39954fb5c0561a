"""Convergence of a search: when its curve fell, and what the last part of the time brought."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autotune.reports.report import Curve

# The last part of a search that tells whether it still moves, and the share that counts as moving.
_LAST_PART = 0.25
_STILL_MOVING = 0.01
_NEARLY_ALL = 0.95


@dataclass(frozen=True, slots=True)
class Convergence:
    """The shape of one model's curve.

    secs:       how long the search has taken; factor: how many times faster the sum of the tasks became;
    nearly_all_secs: when 95 % of that (on a logarithmic scale) was reached;
    last_secs:  the last quarter of the time; last_gain: by which share the latency fell in it.
    """

    model: str
    device: str
    secs: float
    factor: float
    nearly_all_secs: float
    last_secs: float
    last_gain: float

    @property
    def has_converged(self) -> bool:
        """Whether the last quarter of the time brought less than 1 %."""
        return self.last_gain < _STILL_MOVING


def convergence(curve: Curve) -> Convergence:
    """The convergence of a curve with at least one point."""
    start, end = curve.points[0], curve.points[-1]
    gained = math.log(start[1] / end[1])
    level = start[1] / math.exp(_NEARLY_ALL * gained)
    reached = next(secs for secs, latency in curve.points if latency <= level * (1 + 1e-9))
    since = end[0] * (1 - _LAST_PART)
    before = [latency for secs, latency in curve.points if secs <= since] or [start[1]]
    return Convergence(
        curve.model,
        curve.device,
        end[0],
        start[1] / end[1],
        reached,
        end[0] - since,
        1 - end[1] / before[-1],
    )
