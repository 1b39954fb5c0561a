"""A check that a device's threads are faster than one of them.

TVM's defaults make two threads slower than one on many machines, and so do siblings of one core, a container's limits
or a busy neighbour; with such a setting every timing is wrong.
"""

from __future__ import annotations

import time
from typing import Final, Protocol, runtime_checkable

from autotune.devices.device import Device
from search_spaces.errors import AutotuneError

#: How many times faster a device's threads must be than one of them.
LEAST_SPEEDUP: Final = 1.1
# A neighbour that is busy for a moment is no reason to refuse: a board, whose threads are set there, is looked at for
# 20 s, with longer and longer pauses.
_PATIENCE_SECS = 20.0
_PAUSE_SECS = 0.1


@runtime_checkable
class Scalable(Protocol):
    """A runner that can time the reference kernel on all threads and on one."""

    def thread_speedup(self) -> float:
        """The speedup of the reference kernel on all threads over one."""
        ...


def best_speedup(runner: Scalable, patience_secs: float) -> float:
    """The largest speedup of the runner's threads over one in several looks: until it is enough, or time is up.

    One look takes about 0.3 s. Raises AutotuneError where the kernel cannot be measured at all.
    """
    end, pause_secs = time.monotonic() + patience_secs, 0.0
    speedup = runner.thread_speedup()
    while speedup < LEAST_SPEEDUP and (left := end - time.monotonic()) > 0:
        pause_secs += _PAUSE_SECS
        time.sleep(min(pause_secs, left))
        speedup = max(speedup, runner.thread_speedup())
    return speedup


def check_threads(device: Device, runner: Scalable) -> float:
    """The speedup of a small matmul on the runner's threads over one; takes about 0.3 s.

    Raises AutotuneError where more than one thread is asked for and they are not faster than one, or where the
    kernel cannot be measured at all.
    """
    if device.threads == 1:
        return 1.0
    speedup = best_speedup(runner, _PATIENCE_SECS)
    if speedup >= LEAST_SPEEDUP:
        return speedup
    raise AutotuneError(
        f"expected {device.threads} threads to be at least {LEAST_SPEEDUP} times as fast as one, found "
        f"{speedup:.2f} times: the processors are busy or are not this process's to use. Stop what else is "
        "running, or tune with fewer threads, as with 'local?threads=1' or a board's --threads 1",
        code="AT409",
    )
