"""Boards that are lost, hang, are slow or lie: each candidate gets one outcome, and the board is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_fixtures import make_record

from autotune.builders.artifact import Artifact
from autotune.devices.rpc_tracker import Address
from autotune.measurement.board_reply import Ended, Lost, Tried
from autotune.runners.board_judge import Attempts, BoardJudge, TrialPlace
from autotune.runners.runner import Outcome
from autotune.workers.reply import Died, Reply, Returned, TimedOut
from search_spaces.config import Config
from tuning_logs.records.measurement import Failure, FailureKind, Timing

TASK = make_record().task
KERNEL_SECS = 1e-3
TIMEOUT_SECS = 30.0
ARTIFACT = Artifact(TASK, Config((("name", "sound"),)), Path("sound"), 0.0, ())
BOARDS = tuple(Address("10.0.0.7", port) for port in (1, 2, 3))
WRONG = Failure(FailureKind.WRONG_RESULT, "1 of 16 output elements are off", 0.0)
IMPLAUSIBLE = Failure(FailureKind.RUN_ERROR, "implausible: 1e-12 s, where any processor needs 1e-9 s", 0.0)

Behaviour = Callable[[Address, str], Reply]


def sound(address: Address, name: str, slower: float = 1.0) -> Reply:
    if name == "wrong":
        return Returned(Tried(address, WRONG, None), 0.1)
    if name == "crash":
        return Returned(Ended(address, Died(-11, "", 0.1)), 0.1)
    if name == "hang":
        return TimedOut(TIMEOUT_SECS, TIMEOUT_SECS)
    timing = Timing((KERNEL_SECS * slower,), 0.0)
    return Returned(Tried(address, timing, None, KERNEL_SECS * slower), 0.1)


def slow(address: Address, name: str) -> Reply:
    return sound(address, name, 3.0)


def lost(address: Address, _name: str) -> Reply:
    return Returned(Lost(address, "connection reset"), 0.1)


def hung(_address: Address, _name: str) -> Reply:
    return TimedOut(TIMEOUT_SECS, TIMEOUT_SECS)


def wrong(address: Address, _name: str) -> Reply:
    return Returned(Tried(address, WRONG, None), 0.1)


def implausible(address: Address, _name: str) -> Reply:
    return Returned(Tried(address, IMPLAUSIBLE, None), 0.1)


BROKEN = {"slow": slow, "lost": lost, "hung": hung, "wrong": wrong, "implausible": implausible}


@dataclass
class Fleet:
    """Boards that take turns at the candidates of a judge, on a clock of their own."""

    behaviours: dict[Address, Behaviour]
    now: float = 0.0
    trials: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.judge = BoardJudge(lambda address: self.behaviours[address] is not hung, lambda: self.now)
        self.turn = 0

    def run(self, names: list[str]) -> dict[int, Outcome]:
        """The outcome of each candidate; fails where one gets two."""
        artifacts = [Artifact(TASK, Config((("name", name),)), Path(name), 0.0, ()) for name in names]
        attempts = [Attempts() for _ in names]
        outcomes: dict[int, Outcome] = {}
        pending = list(range(len(names)))
        for _ in range(200):
            for place in pending:
                usable = frozenset(self.behaviours) - self.judge.avoid
                board, reply = self._try(names[place], usable - attempts[place].avoid(usable))
                self.trials[f"{place}"] += 1
                outcome = self.judge.judge(
                    artifacts[place], reply, attempts[place], TrialPlace(board, usable)
                )
                if outcome is not None:
                    assert place not in outcomes
                    outcomes[place] = outcome
            pending = [place for place in pending if place not in outcomes]
            self.now += 0.5
            if not pending:
                return outcomes
        raise AssertionError(f"{pending} have no outcome")

    def _try(self, name: str, boards: frozenset[Address]) -> tuple[Address | None, Reply]:
        if not boards:
            self.now += 10.0
            return None, Returned(Lost(None, "no board was free"), 10.0)
        self.turn += 1
        board = sorted(boards, key=str)[self.turn % len(boards)]
        reply = self.behaviours[board](board, name)
        self.now += reply.secs
        return board, reply


def _kinds(outcomes: dict[int, Outcome]) -> list[FailureKind | None]:
    measurements = [outcomes[place].measurement for place in range(len(outcomes))]
    return [one.kind if isinstance(one, Failure) else None for one in measurements]


EXPECTED = {
    "good": None,
    "wrong": FailureKind.WRONG_RESULT,
    "crash": FailureKind.RUN_ERROR,
    "hang": FailureKind.RUN_TIMEOUT,
}


# A board that was right three times is believed for a while, so there are fewer wrong candidates.
NAMES = st.lists(st.sampled_from(sorted(EXPECTED)), min_size=1, max_size=20).filter(
    lambda names: names.count("wrong") < 3
)


@pytest.mark.parametrize("fault", BROKEN)
@settings(max_examples=30)
@given(names=NAMES, seed=st.integers(0, 99))
def test_one_broken_board_costs_no_candidate_its_outcome(fault: str, names: list[str], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(BOARDS))
    behaviours: list[Behaviour] = [BROKEN[fault], sound, sound]
    fleet = Fleet({BOARDS[place]: behaviours[number] for number, place in enumerate(order)})
    for name, kind in zip(names, _kinds(fleet.run(names)), strict=True):
        # A wrong candidate on a board without a clock is a failure of either kind.
        either = {FailureKind.RUN_ERROR} if (fault, name) == ("implausible", "wrong") else set()
        assert kind in {EXPECTED[name], *either}


def test_a_candidate_that_hangs_is_not_held_against_a_board_that_answers() -> None:
    fleet = Fleet({BOARDS[0]: sound})
    assert _kinds(fleet.run(["hang", "good"])) == [FailureKind.RUN_TIMEOUT, None]
    assert not fleet.judge.avoid


def test_a_board_that_hangs_is_avoided_and_its_candidate_comes_again() -> None:
    fleet = Fleet({BOARDS[0]: hung, BOARDS[1]: sound})
    assert _kinds(fleet.run(["good"] * 4)) == [None] * 4
    assert BOARDS[0] in fleet.judge.backoff.closed
    assert "does not answer" in fleet.judge.reason


@pytest.mark.parametrize("boards", [2, 3])
def test_an_unlike_board_is_told_apart_and_named_within_20_trials(boards: int) -> None:
    fleet = Fleet({board: (slow if board == BOARDS[0] else sound) for board in BOARDS[:boards]})
    outcomes = fleet.run(["good"] * 20)
    assert fleet.judge.avoid == {BOARDS[0]}
    assert fleet.judge.notices == [
        f"the board at {BOARDS[0]} is 3.0 times slower than the others under its key, and is not used any more: give "
        "it a key of its own"
    ]
    # What the slow board measured beside another one is marked, so that it is repeated.
    timings = [(one.measurement, one.slowdown) for one in outcomes.values()]
    slowdowns = [
        slowdown for timing, slowdown in timings if isinstance(timing, Timing) and timing.secs > 2e-3
    ]
    assert 4 <= len(slowdowns) <= 8
    assert sum(slowdown < 2.9 for slowdown in slowdowns) <= 1


def test_boards_that_are_alike_but_busy_for_moments_are_kept() -> None:
    rng = np.random.default_rng(0)

    def busy(address: Address, name: str) -> Reply:
        return sound(address, name, 1.0 + float(rng.exponential(0.3)))

    fleet = Fleet(dict.fromkeys(BOARDS, busy))
    fleet.run(["good"] * 200)
    assert not fleet.judge.notices and not fleet.judge.avoid


@pytest.mark.parametrize("fault", [wrong, implausible])
def test_a_board_that_lies_is_named_and_set_aside(fault: Behaviour) -> None:
    fleet = Fleet({BOARDS[0]: fault, BOARDS[1]: sound, BOARDS[2]: sound})
    assert _kinds(fleet.run(["good"] * 12)) == [None] * 12
    assert fleet.judge.avoid == {BOARDS[0]}
    [notice] = fleet.judge.notices
    assert str(BOARDS[0]) in notice and "where another board had none" in notice


def test_wrong_candidates_are_tried_twice_until_their_board_is_believed() -> None:
    fleet = Fleet(dict.fromkeys(BOARDS[:2], sound))
    assert _kinds(fleet.run(["wrong"] * 40)) == [FailureKind.WRONG_RESULT] * 40
    assert not fleet.judge.avoid
    fleet.trials.clear()
    fleet.run(["wrong"] * 40)
    assert 40 <= fleet.trials.total() <= 60


def test_without_another_board_a_wrong_result_is_the_candidates() -> None:
    fleet = Fleet({BOARDS[0]: sound})
    assert _kinds(fleet.run(["wrong", "good"])) == [FailureKind.WRONG_RESULT, None]
    assert fleet.trials.total() == 2


def test_a_full_disk_of_a_board_is_never_held_against_a_candidate() -> None:
    clock = [0.0]
    judge, attempts = BoardJudge(lambda _: True, lambda: clock[0]), Attempts()
    for number in range(20):
        clock[0] = 60.0 * number
        full = Lost(BOARDS[0], "OSError: [Errno 28] No space left on device")
        place = TrialPlace(BOARDS[0], frozenset(BOARDS[:1]))
        assert judge.judge(ARTIFACT, Returned(full, 0.1), attempts, place) is None
    assert judge.avoid == {BOARDS[0]}
    assert judge.silent_secs == clock[0]
    assert "No space left" in judge.reason
