"""A check that a device's threads are faster than one of them.

TVM's defaults make two threads slower than one on many machines, and so do a container's limits or a busy neighbour;
with such a setting every timing is wrong.
"""

from __future__ import annotations

import time
from typing import Protocol

from autotune.devices.device import Device
from search_spaces.errors import AutotuneError

#: How many times faster the device's threads must be than one of them.
_LEAST_SPEEDUP = 1.1
# A neighbour that is busy for a moment is no reason to refuse: looked at for 20 s, with longer and longer pauses.
_ATTEMPTS = 20
_PAUSE_SECS = 0.1


class Scalable(Protocol):
    """A runner that can time the reference kernel on all threads and on one."""

    def thread_speedup(self) -> float:
        """The speedup of the reference kernel on all threads over one."""
        ...


def check_threads(device: Device, runner: Scalable) -> float:
    """The speedup of a small matmul on the runner's threads over one; takes about 0.3 s.

    Raises AutotuneError where more than one thread is asked for and they are not faster than one, or where the
    kernel cannot be measured at all.
    """
    if device.threads == 1:
        return 1.0
    speedup = 0.0
    for attempt in range(_ATTEMPTS):
        time.sleep(_PAUSE_SECS * attempt)
        speedup = max(speedup, runner.thread_speedup())
        if speedup >= _LEAST_SPEEDUP:
            return speedup
    raise AutotuneError(
        f"expected {device.threads} threads to be at least {_LEAST_SPEEDUP} times as fast as one, found "
        f"{speedup:.2f} times: the processors are busy or are not this process's to use. Stop what else is "
        "running, or tune with fewer threads, as with 'local?threads=1' or a board's --threads 1",
        code="AT409",
    )
