"""A runner for boards behind an RPC tracker: several at once, each trial with this side's limits."""

from __future__ import annotations

import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.connection import Rpc
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
from autotune.runners.references import References
from autotune.runners.runner import Outcome, TrialLimits, best_times, failed
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Died, Reply, Returned
from search_spaces.errors import AutotuneError
from search_spaces.target import Target
from tuning_logs.records.measurement import Failure, FailureKind

_GIB = 1 << 30
_WAIT_SECS = 10.0
# So often a candidate is tried on another board before it is given up for now.
_MAX_LOSSES = 3
# A session that is killed from outside is held against the candidate the second time.
_MAX_KILLS = 2
_PAUSE_SECS = 0.5
_LIMITS = TrialLimits(timeout_secs=30.0)


@dataclass(frozen=True, slots=True)
class BoardOptions:
    """Settings shared by the boards under one key.

    threads:       how many a kernel uses;
    reference:     target and linker of the reference kernel, timed on a board after every trial; None for no times;
    patience_secs: how long none of the boards may answer before that is an error.
    """

    threads: int
    reference: tuple[Target, str] | None = None
    patience_secs: float = 120.0


@dataclass(slots=True)
class _Attempts:
    """Counts of an artifact's lost boards, and of its sessions killed from outside."""

    losses: int = 0
    kills: int = 0


class RpcRunner(Closeable):
    """Runs kernels on the boards at a connection, one worker process and session for each board.

    A board that is lost is left alone for a while, and its candidate goes to another; a candidate whose board was
    lost three times is a failure of the kind DEVICE_LOST. Each board has a baseline of its own for
    the slowdown of its trials.
    """

    def __init__(
        self,
        boards: Rpc,
        options: BoardOptions,
        stopwatch: Stopwatch | None = None,
        limits: TrialLimits = _LIMITS,
    ) -> None:
        self._boards, self._options, self._limits = boards, options, limits
        self._stopwatch = stopwatch or Stopwatch()
        self._backoff = BoardBackoff()
        self._answered = time.monotonic()
        self._references = References()
        self._drift: dict[Address, DriftMonitor] = defaultdict(DriftMonitor)
        self._scratch = tempfile.TemporaryDirectory(prefix="autotune-run-")
        folder, reference = Path(self._scratch.name), options.reference
        self._reference_kernel = ReferenceKernel(*reference, folder) if reference else None
        self._count = len(registered_boards(boards.tracker, boards.key, boards.route))
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
        # Untuned programs first, by themselves: the others are checked against their outputs.
        first = [place for place, one in enumerate(artifacts) if one.is_reference]
        rest = [place for place, one in enumerate(artifacts) if not one.is_reference]
        found: dict[int, Outcome] = {}
        for places in (first, rest):
            best = best_times(artifacts, found, best_secs)
            outcomes = self._run_all([artifacts[place] for place in places], best)
            found |= zip(places, outcomes, strict=True)
        return [found[place] for place in range(len(artifacts))]

    def thread_speedup(self) -> float:
        """The speedup of the reference kernel on a board's threads over one of them.

        Raises AutotuneError where it cannot be measured.
        """
        call = Call(speedup_on_board, (self._request(_WAIT_SECS),))
        [reply] = self._pool.map([(call, self._limits.reference_timeout_secs)])
        value = reply.value if isinstance(reply, Returned) else Lost(None, reply.message)
        if isinstance(value, Lost):
            raise AutotuneError(
                f"expected a small matmul to run on a board under {self._boards.key!r}, found {value.message}; "
                "check that the target fits the board",
                code="AT408",
            )
        return float(value)

    def close(self) -> None:
        """Ends the worker processes, and with them the sessions."""
        self._is_closed = True
        self._pool.close()
        self._scratch.cleanup()

    def _run_all(self, artifacts: Sequence[Artifact], best: Mapping[str, float]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        attempts = [_Attempts() for _ in artifacts]
        pending = []
        for place, artifact in enumerate(artifacts):
            failure = self._references.unchecked(artifact)
            if failure is None:
                pending.append(place)
            else:
                outcomes[place] = Outcome(failure, None)
        while pending:
            replies = self._pool.map([self._call(artifacts[place], best) for place in pending])
            for place, reply in zip(pending, replies, strict=True):
                outcome = self._judge(artifacts[place], reply, attempts[place])
                if outcome is not None:
                    outcomes[place] = outcome
                    self._references.note(artifacts[place], outcome)
            pending = [place for place in pending if place not in outcomes]
            if pending and any(isinstance(one, Returned) and isinstance(one.value, Lost) for one in replies):
                self._wait_for_boards()
        return [outcomes[place] for place in range(len(artifacts))]

    def _call(self, artifact: Artifact, best: Mapping[str, float]) -> tuple[Call, float]:
        key, limit_secs = artifact.task.key, self._limits.secs_for(artifact)
        options = TrialOptions(
            Path(self._scratch.name, key), self._stopwatch, best[key], self._options.threads
        )
        request = self._request(min(_WAIT_SECS, limit_secs / 2))
        return Call(try_on_board, (artifact, options, request)), limit_secs

    def _request(self, wait_secs: float) -> BoardRequest:
        return BoardRequest(self._boards, self._backoff.closed, wait_secs, self._reference_kernel)

    def _judge(self, artifact: Artifact, reply: Reply, attempts: _Attempts) -> Outcome | None:
        """The outcome, None where the candidate is to be tried again."""
        if not isinstance(reply, Returned):
            self._answered = time.monotonic()
            return failed(artifact, reply)
        match reply.value:
            case Lost() as lost:
                return self._judge_loss(artifact, lost, attempts)
            case Ended() as ended:
                self._note_success(ended.address)
                is_killed = isinstance(ended.fault, Died) and ended.fault.from_outside
                attempts.kills += is_killed
                return None if is_killed and attempts.kills < _MAX_KILLS else failed(artifact, ended.fault)
            case Tried() as tried:
                self._note_success(tried.address)
                slowdown = 1.0
                if tried.reference_secs is not None:
                    slowdown = self._drift[tried.address].observe(tried.reference_secs)
                return Outcome(tried.measurement, tried.check, slowdown)
        raise TypeError(f"expected the result of a trial on a board, found {reply.value!r}")

    def _judge_loss(self, artifact: Artifact, lost: Lost, attempts: _Attempts) -> Outcome | None:
        if lost.address is not None:
            self._backoff.record_failure(lost.address)
            attempts.losses += 1
        if attempts.losses < _MAX_LOSSES:
            return None
        message = lost.message[-2000:]
        return Outcome(Failure(FailureKind.DEVICE_LOST, message, artifact.build_secs), None)

    def _note_success(self, address: Address) -> None:
        self._answered = time.monotonic()
        self._backoff.record_success(address)

    def _wait_for_boards(self) -> None:
        silent_secs = time.monotonic() - self._answered
        if silent_secs > self._options.patience_secs:
            tracker, key = self._boards.tracker, self._boards.key
            raise AutotuneError(
                f"expected a board under {key!r} at {tracker} to answer, found none for "
                f"{silent_secs:.0f} s; start one with autotune serve-device --tracker {tracker} --key {key}",
                code="AT405",
            )
        time.sleep(_PAUSE_SECS)
        # A worker that lost its board must not wait for one that another worker holds.
        self._count = 0
        self._follow_boards()

    def _follow_boards(self) -> None:
        """Replaces the pool where the number of usable boards has changed."""
        if self._is_closed:
            raise AutotuneError("the boards were given up while they were waited for", code="AT405")
        try:
            registered = registered_boards(self._boards.tracker, self._boards.key, self._boards.route)
        except AutotuneError:
            return  # a tracker that is away is waited for like a board
        closed = self._backoff.closed
        usable = sum(board.address not in closed for board in registered)
        if usable != self._count:
            self._pool.close()
            self._count = usable
            self._pool = self._open_pool()

    def _open_pool(self) -> WorkerPool:
        needs = WorkerNeeds(try_on_board.__module__, scratch=Path(self._scratch.name))
        memory_bytes = self._limits.memory_bytes or 4 * _GIB
        return WorkerPool(max(self._count, 1), needs, memory_bytes, recycle_bytes=memory_bytes // 2)
