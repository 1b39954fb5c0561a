"""A runner for boards behind an RPC tracker: several at once, each trial with this side's limits."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.devices.connection import Rpc
from autotune.devices.rpc_tracker import Address, parse_address, registered_boards
from autotune.measurement.board_reference import ReferenceKernel
from autotune.measurement.board_reply import Lost
from autotune.measurement.board_trial import BoardRequest, speedup_on_board, try_on_board
from autotune.measurement.kernel_trial import TrialOptions
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.board_judge import Attempts, BoardJudge, TrialPlace
from autotune.runners.board_probe import board_answers
from autotune.runners.references import References
from autotune.runners.runner import Outcome, TrialLimits, best_times
from autotune.workers.closeable import Closeable
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool
from autotune.workers.process import Call
from autotune.workers.reply import Reply, Returned, TimedOut
from autotune.workers.room import require_storage, scratch_folder
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.target import Target

_GIB = 1 << 30
_WAIT_SECS = 10.0
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


class RpcRunner(Closeable):
    """Runs kernels on the boards at a connection, one worker process and session for each board.

    A board that is lost is left alone for a while, and its candidate goes to another; a candidate whose board was
    lost three times is a failure of the kind DEVICE_LOST. Each board has a baseline of its own for
    the slowdown of its trials. A board that is unlike the others, or whose failures they contradict, is set aside.
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
        self._judge = BoardJudge(partial(board_answers, boards))
        self._references = References()
        self._scratch = scratch_folder("autotune-run-")
        folder, reference = Path(self._scratch.name), options.reference
        self._reference_kernel = ReferenceKernel(*reference, folder) if reference else None
        self._usable = self._registered()
        self._is_closed = False
        self._pool = self._open_pool()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return self._pool.pids

    @property
    def notices(self) -> list[str]:
        """A sentence for the user about each board that was set aside."""
        return self._judge.notices

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
        attempts = [Attempts() for _ in artifacts]
        pending = []
        for place, artifact in enumerate(artifacts):
            failure = self._references.unchecked(artifact)
            if failure is None:
                pending.append(place)
            else:
                outcomes[place] = Outcome(failure, None)
        while pending:
            notes = [Path(self._scratch.name, f"board-of-{place}") for place in pending]
            for note in notes:
                note.unlink(missing_ok=True)
            calls = [
                self._call(
                    artifacts[place], best, replace(self._request(_WAIT_SECS), note=note), attempts[place]
                )
                for place, note in zip(pending, notes, strict=True)
            ]
            replies = dict(zip(pending, self._pool.map(calls), strict=True))
            for (place, reply), note in zip(replies.items(), notes, strict=True):
                if not isinstance(reply, Returned):
                    require_storage(reply.message, Path(self._scratch.name))
                trial_place = TrialPlace(_noted(note), self._usable)
                outcome = self._judge.judge(artifacts[place], reply, attempts[place], trial_place)
                if outcome is not None:
                    outcomes[place] = outcome
                    self._references.note(artifacts[place], outcome)
            pending = [place for place in pending if place not in outcomes]
            if any(attempts[place].doubted for place in pending):
                # The boards that the workers hold are to be had by others.
                self._reopen()
            elif any(_is_loss(replies[place]) for place in pending):
                self._wait_for_boards()
        return [outcomes[place] for place in range(len(artifacts))]

    def _call(
        self, artifact: Artifact, best: Mapping[str, float], request: BoardRequest, attempts: Attempts
    ) -> tuple[Call, float]:
        key, limit_secs = artifact.task.key, self._limits.secs_for(artifact)
        options = TrialOptions(
            Path(self._scratch.name, key), self._stopwatch, best[key], self._options.threads
        )
        wait_secs = min(request.wait_secs, limit_secs / 2)
        request = replace(request, wait_secs=wait_secs, avoid=request.avoid | attempts.avoid(self._usable))
        return Call(try_on_board, (artifact, options, request)), limit_secs

    def _request(self, wait_secs: float) -> BoardRequest:
        return BoardRequest(self._boards, self._judge.avoid, wait_secs, self._reference_kernel)

    def _wait_for_boards(self) -> None:
        silent_secs = self._judge.silent_secs
        if silent_secs > self._options.patience_secs:
            tracker, key = self._boards.tracker, self._boards.key
            said = f" ({self._judge.reason})" if self._judge.reason else ""
            raise AutotuneError(
                f"expected a board under {key!r} at {tracker} to answer, found none for "
                f"{silent_secs:.0f} s{said}; start one with autotune serve-device --tracker {tracker} --key {key}",
                code="AT405",
            )
        time.sleep(_PAUSE_SECS)
        self._reopen()

    def _reopen(self) -> None:
        """Replaces the pool: a worker that lost its board must not wait for one that another worker holds."""
        self._usable = frozenset()
        self._follow_boards()

    def _follow_boards(self) -> None:
        """Replaces the pool where the usable boards are others than before."""
        if self._is_closed:
            raise AutotuneError("the boards were given up while they were waited for", code="AT405")
        try:
            usable = self._registered() - self._judge.avoid
        except AutotuneError:
            return  # a tracker that is away is waited for like a board
        if usable != self._usable:
            self._pool.close()
            self._usable = usable
            self._pool = self._open_pool()

    def _registered(self) -> frozenset[Address]:
        boards = self._boards
        return frozenset(one.address for one in registered_boards(boards.tracker, boards.key, boards.route))

    def _open_pool(self) -> WorkerPool:
        needs = WorkerNeeds(try_on_board.__module__, scratch=Path(self._scratch.name))
        memory_bytes = self._limits.memory_bytes or 4 * _GIB
        return WorkerPool(max(len(self._usable), 1), needs, memory_bytes, recycle_bytes=memory_bytes // 2)


def _is_loss(reply: Reply) -> bool:
    return isinstance(reply, TimedOut) or (isinstance(reply, Returned) and isinstance(reply.value, Lost))


def _noted(note: Path) -> Address | None:
    """The address in the note of a worker, None where it got no session."""
    try:
        return parse_address(note.read_text())
    except (OSError, Misuse):
        return None
