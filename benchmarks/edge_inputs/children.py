"""Attempts in processes of their own, several at a time; none of them, nor what it started, outlives this one."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from edge_inputs.attempt import WALL_SECS, Attempt

_FORK = multiprocessing.get_context("fork")
_PR_SET_CHILD_SUBREAPER = 36
#: Elapsed time of an attempt, which makes several commands.
_ATTEMPT_SECS = 3 * WALL_SECS
#: Time in which processes that were told to end do so, before they are killed or found to be left running.
_ENDING_SECS = 10.0
_LOOK_SECS = 0.5


@dataclass(frozen=True)
class Outcome:
    """An attempt that ended; fault: in one line, None where there is none."""

    attempt: Attempt
    fault: str | None
    secs: float


@dataclass(frozen=True)
class _Child:
    attempt: Attempt
    process: BaseProcess
    answer: connection.Connection
    started: float = field(default_factory=time.monotonic)

    @property
    def secs(self) -> float:
        return time.monotonic() - self.started


def outcomes(attempts: Sequence[Attempt], workers: int) -> Iterator[Outcome]:
    """Outcomes as attempts end, `workers` of them at a time."""
    waiting = deque(attempts)
    running: list[_Child] = []
    _adopt_orphans()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_started(waiting.popleft()))
            ended = connection.wait([one.answer for one in running], _LOOK_SECS)
            for one in list(running):
                if one.answer in ended or one.secs > _ATTEMPT_SECS:
                    running.remove(one)
                    yield Outcome(one.attempt, _fault(one), one.secs)
    finally:
        for one in running:
            one.process.terminate()
        end_descendants(_ENDING_SECS)


def end_descendants(secs: float) -> None:
    """Gives all processes that this one has started so much time to end, then kills them; Ctrl-C has to wait."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    psutil.wait_procs(psutil.Process().children(recursive=True), timeout=secs)
    while left := psutil.Process().children(recursive=True):
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=1)
    signal.signal(signal.SIGINT, before)


def _started(attempt: Attempt) -> _Child:
    receiver, sender = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_try, args=(attempt, sender))
    process.start()
    sender.close()
    return _Child(attempt, process, receiver)


def _fault(child: _Child) -> str | None:
    """The fault that an attempt told; it did not where it crashed or did not end."""
    try:
        found: str | None = child.answer.recv() if child.answer.poll() else "did not end"
    except EOFError:
        child.process.join()
        found = f"the process of the input ended with exit code {child.process.exitcode}"
    child.process.terminate()
    child.process.join()
    child.answer.close()
    return found


def _try(attempt: Attempt, answer: connection.Connection) -> None:
    """Tells the fault of an attempt, in a group of its own, which Ctrl-C at a terminal does not reach."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _adopt_orphans()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fault = _fault_of(attempt, Path(folder)) or _left_running()
    answer.send(fault)


def _fault_of(attempt: Attempt, folder: Path) -> str | None:
    """The fault of one input in one line; an exception of the product is one."""
    try:
        return attempt.run(folder)
    except Exception as error:  # noqa: BLE001  what a user would see as a traceback
        return f"{type(error).__name__}: {error}"


def _left_running() -> str | None:
    """The fault where processes that were started for an attempt do not end with it."""
    children = psutil.Process().children(recursive=True)
    _, left = psutil.wait_procs(children, timeout=_ENDING_SECS)
    names = [" ".join(one.cmdline())[-100:] for one in left if one.is_running()]
    return f"left running: {names}" if names else None


def _adopt_orphans() -> None:
    """Makes this process the parent of descendants whose parents end before them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
