"""Running artifacts on boards behind an RPC tracker: several at once, each trial with this side's limits."""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.rpc_tracker import Address, registered_boards
from autotune.measurement.board_reference import ReferenceKernel
from autotune.measurement.board_trial import (
    BoardRequest,
    Ended,
    Lost,
    Tried,
    speedup_on_board,
    try_on_board,
)
from autotune.measurement.kernel_trial import TrialOptions
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.board_backoff import BoardBackoff
from autotune.runners.drift import DriftMonitor
from autotune.runners.runner import Outcome, best_times, failed, unchecked
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Died, Reply, Returned
from search_spaces.errors import AutotuneError
from search_spaces.target import Target
from tuning_logs.records.measurement import Failure, FailureKind, is_device_lost

_GIB = 1 << 30
_WAIT_SECS = 10.0
# So often a candidate is tried on another board before it is given up for now.
_MAX_LOSSES = 3
_PAUSE_SECS = 0.5


class RemoteRunner(Closeable):
    """Runs on the boards under a key, one worker process and session for each.

    threads:                how many a kernel uses on a board;
    timeout_secs:           what one candidate may take, the wait for a board and the way there included;
    reference_timeout_secs: the same for the untuned program;
    patience_secs:          how long none of the boards may answer before that is an error;
    reference:              target and linker of the kernel that each board's pulse is taken with after every trial,
                            None for no pulse;
    drift:                   what is told of the boards' speed.

    What was measured on a board that had just become slow is measured anew, or else counted as in doubt.

    A board that is lost is left alone for a while, and its candidate goes to another; a candidate whose board was
    lost three times comes back as DEVICE_LOST, which is nobody's measurement.
    """

    def __init__(
        self,
        tracker: Address,
        key: str,
        threads: int,
        stopwatch: Stopwatch | None = None,
        timeout_secs: float = 30.0,
        reference_timeout_secs: float = 300.0,
        patience_secs: float = 120.0,
        reference: tuple[Target, str] | None = None,
        drift: DriftMonitor | None = None,
    ) -> None:
        self._tracker, self._key, self._threads = tracker, key, threads
        self._stopwatch = stopwatch or Stopwatch()
        self._timeout_secs, self._reference_timeout_secs = timeout_secs, reference_timeout_secs
        self._patience_secs = patience_secs
        self._backoff = BoardBackoff()
        self._answered = time.monotonic()
        self._references: dict[str, Failure | None] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="autotune-run-")
        self._reference = ReferenceKernel(*reference, Path(self._scratch.name)) if reference else None
        self.drift = drift or DriftMonitor()
        self._paces: dict[Address, DriftMonitor] = defaultdict(DriftMonitor)
        self._boards = len(registered_boards(tracker, key))
        self._is_closed = False
        self._pool = self._open_pool()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return self._pool.pids

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        """Measures the artifacts on as many boards as there are.

        Raises AutotuneError where a task's untuned program has never run, and where no board has answered for
        longer than patience_secs.
        """
        self._follow_boards()
        self.drift.slowdown = 1.0
        # What the others are checked against comes first, by itself.
        first = [place for place, one in enumerate(artifacts) if one.is_reference]
        rest = [place for place, one in enumerate(artifacts) if not one.is_reference]
        found: dict[int, Outcome] = {}
        for places in (first, rest):
            best = best_times(artifacts, found, best_secs)
            outcomes = self._run_all([artifacts[place] for place in places], best, best_secs)
            found |= zip(places, outcomes, strict=True)
        return [found[place] for place in range(len(artifacts))]

    def close(self) -> None:
        """Ends the worker processes, and with them the sessions."""
        self._is_closed = True
        self._pool.close()
        self._scratch.cleanup()

    def _run_all(
        self, artifacts: Sequence[Artifact], best: dict[str, float], best_secs: float
    ) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        losses = [0] * len(artifacts)
        deaths = [0] * len(artifacts)
        self._taken_back: set[int] = set()
        pending = list(range(len(artifacts)))
        while pending:
            for place in list(pending):
                failure = unchecked(self._references, artifacts[place])
                if failure is not None:
                    outcomes[place] = Outcome(failure, None)
                    pending.remove(place)
            calls = [self._call(artifacts[place], best, best_secs) for place in pending]
            again = []
            replies = self._pool.map(calls)
            for place, reply in zip(pending, replies, strict=True):
                outcome = self._judge(artifacts[place], reply, losses, deaths, place)
                if outcome is None:
                    again.append(place)
                else:
                    outcomes[place] = outcome
                    self._remember(artifacts[place], outcome)
            pending = again
            if pending and any(isinstance(one, Returned) and isinstance(one.value, Lost) for one in replies):
                self._wait_for_boards()
        return [outcomes[place] for place in range(len(artifacts))]

    def _call(self, artifact: Artifact, best: dict[str, float], best_secs: float) -> tuple[Call, float]:
        key = artifact.task.key
        options = TrialOptions(
            Path(self._scratch.name, key), self._stopwatch, best.get(key, best_secs), self._threads
        )
        limit_secs = self._reference_timeout_secs if artifact.is_reference else self._timeout_secs
        wait_secs = min(_WAIT_SECS, limit_secs / 2)
        return Call(try_on_board, (artifact, options, self._request(wait_secs))), limit_secs

    def _request(self, wait_secs: float) -> BoardRequest:
        return BoardRequest(self._tracker, self._key, self._backoff.closed, wait_secs, self._reference)

    def _is_disturbed(self, artifact: Artifact, tried: Tried, place: int) -> bool:
        """Whether the trial is to be made once more, because its board has just become slow."""
        assert tried.pulse_secs is not None
        drift = self._paces[tried.address]
        was_steady = drift.is_steady
        is_steady = drift.take(tried.pulse_secs)
        self.drift.slowdown = max(self.drift.slowdown, drift.slowdown)
        if is_steady:
            self.drift.repeated += place in self._taken_back
            return False
        if was_steady and place not in self._taken_back:
            self._taken_back.add(place)
            time.sleep(_PAUSE_SECS)
            return True
        self.drift.unsteady[artifact.task.key, artifact.config] = drift.slowdown
        return False

    def thread_speedup(self) -> float:
        """How many times faster a small kernel is on a board's threads than on one of them.

        Raises AutotuneError where it cannot be measured.
        """
        [reply] = self._pool.map(
            [(Call(speedup_on_board, (self._request(_WAIT_SECS),)), self._reference_timeout_secs)]
        )
        value = reply.value if isinstance(reply, Returned) else Lost(None, reply.message)
        if isinstance(value, Lost):
            raise AutotuneError(
                f"expected a small matmul to run on a board under {self._key!r}, found {value.message}; check that "
                "the target fits the board"
            )
        return float(value)

    def _judge(
        self, artifact: Artifact, reply: Reply, losses: list[int], deaths: list[int], place: int
    ) -> Outcome | None:
        """The outcome, None where the candidate is to be tried again."""
        value = reply.value if isinstance(reply, Returned) else None
        if isinstance(value, Lost):
            if value.address is not None:
                self._backoff.record_failure(value.address)
                losses[place] += 1
            if losses[place] < _MAX_LOSSES:
                return None
            return Outcome(Failure(FailureKind.DEVICE_LOST, value.message[-2000:], artifact.build_secs), None)
        self._answered = time.monotonic()
        if isinstance(value, Tried):
            self._backoff.record_success(value.address)
            if value.pulse_secs is not None and self._is_disturbed(artifact, value, place):
                return None
            return Outcome(value.measurement, value.check)
        if isinstance(value, Ended):
            self._backoff.record_success(value.address)
            if isinstance(value.fault, Died) and value.fault.from_outside:
                deaths[place] += 1
                if deaths[place] < 2:
                    return None
            return failed(artifact, value.fault)
        assert not isinstance(reply, Returned)
        return failed(artifact, reply)

    def _remember(self, artifact: Artifact, outcome: Outcome) -> None:
        measurement = outcome.measurement
        if is_device_lost(measurement):
            return
        key = artifact.task.key
        if artifact.is_reference and self._references.get(key, measurement) is not None:
            self._references[key] = measurement if isinstance(measurement, Failure) else None

    def _wait_for_boards(self) -> None:
        silent_secs = time.monotonic() - self._answered
        if silent_secs > self._patience_secs:
            raise AutotuneError(
                f"expected a board under {self._key!r} at {self._tracker} to answer, found none for "
                f"{silent_secs:.0f} s; start one with autotune serve-device --tracker {self._tracker} "
                f"--key {self._key}"
            )
        time.sleep(_PAUSE_SECS)
        # A worker that lost its board must not wait for one that another worker holds.
        self._boards = 0
        self._follow_boards()

    def _follow_boards(self) -> None:
        """As many workers as there are boards now, each with a session to take."""
        if self._is_closed:
            raise AutotuneError("the boards were given up while they were waited for")
        try:
            registered = registered_boards(self._tracker, self._key)
        except AutotuneError:
            return  # a tracker that is away is waited for like a board
        closed = self._backoff.closed
        usable = sum(board.address not in closed for board in registered)
        if usable != self._boards:
            self._pool.close()
            self._boards = usable
            self._pool = self._open_pool()

    def _open_pool(self) -> WorkerPool:
        needs = WorkerNeeds(try_on_board.__module__, scratch=Path(self._scratch.name))
        return WorkerPool(max(self._boards, 1), needs, 4 * _GIB, recycle_bytes=2 * _GIB)
