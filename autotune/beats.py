"""The pulse of a machine or a board: a small kernel that never changes, run in beats of about 2 ms."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

#: Calls the kernel that many times in a row; the seconds that one call took on average.
Run = Callable[[int], float]
#: One beat: the seconds of a call.
Beat = Callable[[], float]

#: Rows and columns of the kernel, a matmul.
SIZE: Final = 192
# A beat is long against what waking a thread takes, and a few of them are short against a trial.
_BEAT_SECS = 0.002


def steady_beat(run: Run) -> Beat:
    """A beat of as many calls as take about 2 ms here."""
    run(1)
    number = max(1, round(_BEAT_SECS / run(20)))
    return lambda: run(number)


def pulse_secs(beat: Beat, beats: int) -> float:
    """The median of so many beats, after one that warms up."""
    beat()
    return statistics.median(beat() for _ in range(beats))


def speedup(alone: Beat, together: Beat, pairs: int) -> float:
    """How many times faster a kernel is together than alone, each at its fastest, in turns."""
    secs = [(alone(), together()) for _ in range(pairs)]
    return min(one for one, _ in secs) / min(other for _, other in secs)
