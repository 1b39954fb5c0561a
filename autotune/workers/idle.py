"""Waits until the processes of other engines are idle, since their spinning threads would disturb a timing."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

# Linux counts the time of processes in steps of 10 ms.
_LOOK_SECS = 0.05
_MOST_SECS = 2.0


def wait_until_idle(pids: Iterable[int]) -> None:
    """Returns once none of the processes has used a processor for 50 ms, and after 2 s at the latest.

    The threads of TVM's pool look for more work after the last run: for 0.2 s on a processor whose system calls are
    slow. What is timed meanwhile has a core less.
    """
    watched = list(pids)
    used, deadline = _used_secs(watched), time.monotonic() + _MOST_SECS
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECS)
        before, used = used, _used_secs(watched)
        if used == before:
            return


def _used_secs(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
