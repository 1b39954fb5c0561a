"""Judgement of replies from boards: what is the candidate's fault, what its board's, and who tries again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.builders.artifact import Artifact
from autotune.devices.rpc_tracker import Address
from autotune.measurement.board_reply import Ended, Lost, Tried
from autotune.runners.board_backoff import BoardBackoff
from autotune.runners.board_speeds import BoardSpeeds
from autotune.runners.drift import DriftMonitor
from autotune.runners.runner import Outcome, failed
from autotune.runners.second_opinions import SecondOpinions
from autotune.workers.reply import Died, Reply, Returned, TimedOut
from autotune.workers.room import is_storage_fault
from tuning_logs.records.measurement import Failure, FailureKind

# So often a candidate is tried on another board before it is given up for now.
_MAX_LOSSES = 3
# A session that is killed from outside is held against the candidate the second time.
_MAX_KILLS = 2


@dataclass(slots=True)
class Attempts:
    """The history of one artifact: lost boards, sessions killed from outside, and a result that is in doubt.

    losses: the boards that were lost, one for each time; doubted: the board and its outcome, where another one is to
    try as well.
    """

    losses: list[Address] = field(default_factory=list)
    kills: int = 0
    doubted: tuple[Address, Outcome] | None = None

    def avoid(self, usable: frozenset[Address]) -> frozenset[Address]:
        """The boards that are not to try again; of lost ones none where no other can be used."""
        doubted = frozenset({self.doubted[0]}) if self.doubted else frozenset()
        lost = frozenset(self.losses)
        return doubted | lost if usable - doubted - lost else doubted


@dataclass
class BoardJudge:
    """Judges the replies of boards under one key, and remembers which boards are to be avoided.

    answers: asks a board whether it serves; clock: seconds.
    """

    answers: Callable[[Address], bool]
    clock: Callable[[], float] = time.monotonic
    backoff: BoardBackoff = field(init=False)
    drift: dict[Address, DriftMonitor] = field(default_factory=lambda: defaultdict(DriftMonitor))
    _speeds: BoardSpeeds = field(default_factory=BoardSpeeds)
    _opinions: SecondOpinions = field(default_factory=SecondOpinions)
    _answered: float = field(init=False)
    _reason: str = ""

    def __post_init__(self) -> None:
        self.backoff = BoardBackoff(self.clock)
        self._answered = self.clock()

    @property
    def avoid(self) -> frozenset[Address]:
        """The boards not to use now: lost ones for a while, unlike and lying ones for good."""
        return self.backoff.closed | self._set_aside

    @property
    def silent_secs(self) -> float:
        """Seconds since any board answered."""
        return self.clock() - self._answered

    @property
    def reason(self) -> str:
        """The message of the board that was lost last; empty where none was."""
        return self._reason

    @property
    def notices(self) -> list[str]:
        """A sentence for the user about each board that was set aside."""
        unlike = [
            f"the board at {address} is {_times(ratio)} the others under its key, and is not used any more: give it a "
            "key of its own"
            for address, ratio in self._speeds.unlike.items()
        ]
        lying = [
            f"the board at {address} had wrong results or implausible times {count} times where another board had "
            "none, and is not used any more: check it"
            for address, count in self._opinions.liars.items()
        ]
        return [*unlike, *lying]

    @property
    def _set_aside(self) -> frozenset[Address]:
        return frozenset(self._speeds.unlike) | frozenset(self._opinions.liars)

    def judge(
        self, artifact: Artifact, reply: Reply, attempts: Attempts, place: TrialPlace
    ) -> Outcome | None:
        """The outcome of a trial, None where the artifact is to be tried again."""
        if isinstance(reply, TimedOut) and place.board is not None and not self.answers(place.board):
            return self._judge_loss(
                artifact, Lost(place.board, f"it does not answer: {reply.message}"), attempts
            )
        if not isinstance(reply, Returned):
            self._answered = self.clock()
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
                return self._judge_trial(tried, attempts, place)
        raise TypeError(f"expected the result of a trial on a board, found {reply.value!r}")

    def _judge_trial(self, tried: Tried, attempts: Attempts, place: TrialPlace) -> Outcome | None:
        outcome = Outcome(tried.measurement, tried.check, self._slowdown(tried))
        if attempts.doubted is not None:
            first, doubted = attempts.doubted
            if first != tried.address:
                self._opinions.record(first, doubted.measurement, tried.measurement)
            return outcome
        others = place.usable - {tried.address} - self.avoid
        if others and self._opinions.is_due(tried.address, tried.measurement):
            attempts.doubted = tried.address, outcome
            return None
        return outcome

    def _slowdown(self, tried: Tried) -> float:
        """The slowdown of the board, by its own earlier times or by its like, whichever is larger."""
        if tried.reference_secs is None:
            return 1.0
        drift = self.drift[tried.address].observe(tried.reference_secs)
        return max(drift, self._speeds.observe(tried.address, tried.reference_secs))

    def _judge_loss(self, artifact: Artifact, lost: Lost, attempts: Attempts) -> Outcome | None:
        self._reason = lost.message[-300:]
        if lost.address is not None:
            self.backoff.record_failure(lost.address)
            # For want of room on the board no candidate is to blame, however often.
            if not is_storage_fault(lost.message):
                attempts.losses.append(lost.address)
        elif attempts.doubted is not None:
            # No other board was free for a second opinion.
            return attempts.doubted[1]
        if len(attempts.losses) < _MAX_LOSSES:
            return None
        return Outcome(Failure(FailureKind.DEVICE_LOST, lost.message[-2000:], artifact.build_secs), None)

    def _note_success(self, address: Address) -> None:
        self._answered = self.clock()
        self.backoff.record_success(address)


@dataclass(frozen=True, slots=True)
class TrialPlace:
    """The board that was at work on a trial, as far as it is known, and all that may be used."""

    board: Address | None
    usable: frozenset[Address]


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times slower than" if ratio > 1 else f"{1 / ratio:.1f} times faster than"
