"""A runner on boards that fail in every way: nothing is lost, nothing counts twice, nothing false is believed."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_crew import ENVIRONMENT, WRONG, Clock, FakeBoard, FakeCrew, Fault

from autotune.builders.artifact import Artifact
from autotune.cluster.assignments import Order
from autotune.cluster.cluster_runner import ClusterRunner, OrderLimits
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.crew import Answer, Member
from autotune.cluster.measuring import Measuring, ReferenceShelf
from autotune.cluster.roster import Condition
from autotune.runners.runner import Outcome, TrialLimits, best_times
from autotune.testing.runner_laws import RunnerLaws
from autotune.testing.toy_machine import DEVICE, ToyMachine
from search_spaces import ToySpace
from search_spaces.errors import AutotuneError
from tuning_logs import Timing
from tuning_logs.records.measurement import is_device_lost

KEY = DEVICE.fingerprint.key
LIMITS = OrderLimits(TrialLimits(timeout_secs=1.0, reference_timeout_secs=2.0), 1.0)


def artifacts(count: int) -> list[Artifact]:
    """Toy artifacts, the reference first; their libraries are named by their latencies."""
    space = ToySpace(1024)
    [reference] = ToyMachine().build([space.apply(space.default)])
    assert isinstance(reference, Artifact)
    rest = [
        replace(reference, library=Path(f"{1e-3 + 1e-6 * number:.6f}"), is_reference=False)
        for number in range(1, count)
    ]
    return [replace(reference, library=Path("0.009"), is_reference=True), *rest]


def runner_of(*boards: FakeBoard) -> tuple[ClusterRunner, FakeCrew]:
    clock = Clock()
    crew = FakeCrew(boards, clock)
    coordinator = Coordinator("boards", crew, ENVIRONMENT, KEY, clock)
    return ClusterRunner(coordinator, DEVICE, limits=LIMITS), crew


def check_true(measured: list[Artifact], outcomes: list[Outcome]) -> int:
    """Checks each outcome against the truth, in order; returns how many were lost with their devices."""
    assert len(outcomes) == len(measured)
    lost = 0
    for artifact, outcome in zip(measured, outcomes, strict=True):
        if is_device_lost(outcome.measurement):
            lost += 1
            continue
        assert isinstance(outcome.measurement, Timing), outcome
        assert outcome.measurement.run_secs == (float(str(artifact.library)),)
    return lost


def once(fault: Fault, number: int = 3) -> Callable[[int], Fault | None]:
    return lambda order: fault if order == number else None


def always(fault: Fault) -> Callable[[int], Fault | None]:
    return lambda order: fault if order > 1 else None


class TestLaws(RunnerLaws):
    @pytest.fixture
    def runner(self) -> ClusterRunner:
        return runner_of(FakeBoard("a", KEY), FakeBoard("b", KEY))[0]

    @pytest.fixture
    def artifacts(self) -> list[Artifact]:
        return artifacts(5)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("count", [1, 3])
def test_a_fault_costs_at_most_what_its_board_had(fault: Fault, count: int) -> None:
    boards = [FakeBoard(f"board-{number}", KEY) for number in range(count)]
    boards[0].fault = once(fault)
    runner, crew = runner_of(*boards)
    [reference] = runner.run(artifacts(1))
    assert isinstance(reference.measurement, Timing)
    if count == 1 and fault in (Fault.OTHER_DEVICE, Fault.WRONG, Fault.SLOW):
        return  # nobody is there who could know better
    measured = artifacts(60)[1:]
    assert check_true(measured, runner.run(measured)) == 0
    assert crew.faults == [fault]


def test_boards_that_agree_on_a_false_claim_are_not_believed() -> None:
    liars = [FakeBoard(f"liar-{number}", KEY, fault=always(Fault.WRONG)) for number in range(6)]
    runner, _ = runner_of(FakeBoard("good-0", KEY), *liars, FakeBoard("good-1", KEY))
    measured = artifacts(200)
    outcomes = [one for first in range(0, 200, 40) for one in runner.run(measured[first : first + 40])]
    assert check_true(measured, outcomes) == 0
    standings = [runner.coordinator.roster.standing(one.name) for one in (*liars, FakeBoard("good-0", KEY))]
    assert [one.condition for one in standings] == [Condition.LYING] * 6 + [Condition.AT_WORK]


def test_a_wrong_result_is_believed_where_another_board_finds_it_too() -> None:
    boards = [FakeBoard(f"board-{number}", KEY) for number in range(3)]
    runner, crew = runner_of(*boards)
    measured = artifacts(40)
    measured[20:24] = [replace(one, library=Path(WRONG)) for one in measured[20:24]]
    outcomes = runner.run(measured)
    assert [place for place, one in enumerate(outcomes) if not isinstance(one.measurement, Timing)] == [
        20,
        21,
        22,
        23,
    ]
    assert sum(len(board.measured) for board in crew.boards.values()) < 40
    assert runner.notices == []


def test_one_board_measures_in_the_order_of_the_trials() -> None:
    runner, crew = runner_of(FakeBoard("alone", KEY))
    measured = artifacts(30)
    check_true(measured, runner.run(measured))
    assert runner.notices == []
    [board] = crew.boards.values()
    assert all(
        end <= begin + 1e-9 for (_, end), (begin, _) in zip(board.measured, board.measured[1:], strict=False)
    )


def test_a_candidate_that_takes_every_board_down_is_given_up_without_a_verdict_on_it() -> None:
    boards = [FakeBoard(f"board-{number}", KEY, fault=always(Fault.KILL)) for number in range(2)]
    boards[0].fault = boards[1].fault = lambda order: Fault.KILL if order > 2 else None
    runner, _ = runner_of(*boards)
    runner.run(artifacts(1))
    outcomes = runner.run(artifacts(40)[1:])
    assert check_true(artifacts(40)[1:], outcomes) > 0


@pytest.mark.parametrize(
    ("board", "condition", "word"),
    [
        (FakeBoard("odd", "0000"), Condition.UNLIKE, "fingerprint"),
        (FakeBoard("odd", KEY, speed=0.5), Condition.FAST, "alike"),
        (FakeBoard("odd", KEY, speed=3.0), Condition.SLOW, "alike"),
        (FakeBoard("odd", KEY, fault=always(Fault.INSTANT)), Condition.LYING, "implausible"),
        (FakeBoard("odd", KEY, fault=always(Fault.WRONG)), Condition.LYING, "right elsewhere"),
        (
            FakeBoard("odd", KEY, environment=replace(ENVIRONMENT, tvm="0.26.0")),
            Condition.REFUSED,
            "apache-tvm==0.27.0",
        ),
    ],
)
def test_a_board_that_is_not_like_the_others_is_told_within_20_trials_and_named(
    board: FakeBoard, condition: Condition, word: str
) -> None:
    board = replace(board, held=set(), measured=[])
    others = [FakeBoard(f"good-{number}", KEY) for number in range(2)]
    runner, _ = runner_of(*others, board)
    measured = artifacts(400)
    outcomes = runner.run(measured[:1])
    for first in range(1, 400, 16):
        outcomes += runner.run(measured[first : first + 16])
        if first == 17:
            [notice] = runner.notices
            assert notice.startswith(f"odd is {condition}") or condition is Condition.LYING
    assert check_true(measured, outcomes) == 0
    [notice] = runner.notices
    assert notice.startswith("odd is ") and word in notice
    # Those whose speed alone is another are unlike at the third try.
    if condition not in (Condition.SLOW, Condition.FAST):
        assert notice.startswith(f"odd is {condition}:")


def test_the_last_board_is_used_though_a_lost_one_was_slower() -> None:
    runner, crew = runner_of(FakeBoard("disturbed", KEY, speed=3.0), FakeBoard("good", KEY))
    measured = artifacts(400)
    outcomes = runner.run(measured[:1])
    for first in range(1, 201, 20):
        outcomes += runner.run(measured[first : first + 20])
    assert runner.coordinator.roster.standing("good").condition is Condition.UNLIKE
    crew.boards["disturbed"].is_there = False
    crew.boards["disturbed"].incarnation += 1
    found = runner.run(measured[201:])
    assert check_true(measured[201:], found) == 0
    assert runner.coordinator.roster.standing("good").condition is Condition.AT_WORK


def test_a_board_that_is_disturbed_by_other_programs_is_named() -> None:
    runner, crew = runner_of(FakeBoard("shared", KEY))
    crew.boards["shared"].busy_elsewhere = 1.5
    runner.run(artifacts(3))
    assert runner.notices == ["other programs use 1.5 processors of shared while it measures"]


def test_without_a_board_that_fits_the_job_ends_with_a_sentence_on_what_to_install() -> None:
    runner, _ = runner_of(FakeBoard("old", KEY, environment=replace(ENVIRONMENT, schema="1.1")))
    with pytest.raises(AutotuneError, match=r"log schema 1.1; install there") as caught:
        runner.coordinator.wait_for_members()
    assert caught.value.code == "AT753"


def test_no_board_for_two_minutes_is_an_error() -> None:
    board = FakeBoard("gone", KEY, is_there=False)
    runner, _ = runner_of(board)
    with pytest.raises(AutotuneError, match=r"found none for 1\d\d s"):
        runner.run(artifacts(1))


@pytest.mark.parametrize("seed", range(3))
def test_random_faults_lose_nothing_count_nothing_twice_and_end_in_a_known_condition(seed: int) -> None:
    rng, kinds = np.random.default_rng(seed), list(Fault)

    def fault(order: int) -> Fault | None:
        return kinds[rng.integers(len(kinds))] if order > 2 and rng.random() < 0.2 else None

    runner, crew = runner_of(*(FakeBoard(f"board-{number}", KEY, fault=fault) for number in range(8)))
    crew.boards["board-0"].fault = lambda _order: None  # one that works has the last word
    crew.boards["board-1"].fault = lambda _order: None
    measured = artifacts(1600)
    outcomes = [
        outcome for first in range(0, 1600, 64) for outcome in runner.run(measured[first : first + 64])
    ]
    assert check_true(measured, outcomes) < 20
    assert len(crew.faults) > 10
    counts = Counter(runner.coordinator.roster.standing(name).condition for name in crew.boards)
    assert counts[Condition.AT_WORK] >= 2
    assert runner.coordinator.stray_answers <= len(crew.faults)
    assert math.isfinite(sum(end for board in crew.boards.values() for _, end in board.measured))


class _Meeting(FakeCrew):
    """A crew whose boards begin once a third order has been sent."""

    sent = 0

    def send(self, member: str, ticket: int, order: Any) -> None:
        self.sent += 1
        super().send(member, ticket, order)

    def receive(self, wait_secs: float) -> list[Answer]:
        if self.sent < 3:
            time.sleep(0.001)
            return []
        return super().receive(wait_secs)


def test_boards_that_one_batch_leaves_free_measure_the_next() -> None:
    clock = Clock()
    crew = _Meeting([FakeBoard(f"board-{number}", KEY) for number in range(3)], clock)
    runner = ClusterRunner(Coordinator("boards", crew, ENVIRONMENT, KEY, clock), DEVICE, limits=LIMITS)
    batches = [[replace(one, is_reference=True) for one in artifacts(count)] for count in (2, 1)]
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(runner.run, batches))
    for batch, outcomes in zip(batches, found, strict=True):
        assert check_true(batch, outcomes) == 0
    assert [len(board.measured) for board in crew.boards.values()] == [1, 1, 1]
    assert clock.now == pytest.approx(0.05)


def test_what_is_left_under_way_has_its_time_limit_while_somebody_waits() -> None:
    runner, crew = runner_of(FakeBoard("quick", KEY), FakeBoard("slow", KEY, trial_secs=0.2))
    coordinator, measured = runner.coordinator, [replace(one, is_reference=True) for one in artifacts(2)]
    work = Measuring(
        coordinator, DEVICE, None, ReferenceShelf(), measured, best_times(measured, {}, math.inf)
    )
    batch = coordinator.begin([Order((0,), (1.0,)), Order((1,), (1.0,))], work)
    coordinator.carry_on([batch], lambda: len(batch.results) >= 1)
    assert list(batch.results) == [0]
    crew.stop(600.0)
    coordinator.carry_on([batch])
    assert check_true(measured, [batch.results[0], batch.results[1]]) == 0
    assert crew.dismissed == []
    assert [board.orders for board in crew.boards.values()] == [1, 1]


def test_a_batch_that_ends_in_an_error_leaves_its_workers_to_the_next() -> None:
    runner, _ = runner_of(FakeBoard("board", KEY))
    coordinator = runner.coordinator

    class Refusing:
        """Work whose orders cannot be put."""

        def order(self, _member: Member, _places: Sequence[int]) -> Any:
            raise OSError("the disk is full")

        def judge(self, *_: object) -> Judgement[Any]:
            raise AssertionError

        def give_up(self, *_: object) -> Any:
            raise AssertionError

    with pytest.raises(OSError, match="full"):
        coordinator.carry_out([Order((0,), (1.0,))], Refusing())
    assert check_true(artifacts(5), runner.run(artifacts(5))) == 0
