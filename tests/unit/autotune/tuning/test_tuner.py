"""The loop: what is measured, what is logged, when it stops, and how it goes on."""

import math
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec

import pytest

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Outcome
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.task_scheduler import round_robin
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Candidate, Choose, Config, Misuse, Target, ToySpace, TuningTask
from tuning_logs import Failure, FailureKind, TuningLog, TuningRecord

SPACES = {space.task: space for space in (ToySpace(64), ToySpace(256), ToySpace(2))}


def job(
    *extents: int,
    budget: Budget,
    seed: int = 0,
    kind: SamplerKind = SamplerKind.RANDOM,
    batch: int = 8,
) -> TuningJob:
    tasks = tuple(ToySpace(extent).task for extent in extents)
    return TuningJob(
        tasks, DEVICE, budget, seed, batch, lambda task: SPACES[task], sampler_factory(kind), kind.value
    )


def run(job: TuningJob, log: TuningLog, machine: ToyMachine | None = None) -> list[TuningRecord]:
    machine = machine or ToyMachine()
    return [record for records in tuner_in_no_time(job, log, machine).rounds() for record in records]


def tuner_in_no_time(job: TuningJob, log: TuningLog, machine: ToyMachine) -> Tuner:
    """Its clock stands still: how slow the machine of the tests is decides nothing, such as whether finals begin."""
    return Tuner(job, log, machine, machine, lambda: 0.0)


def test_the_first_record_of_every_task_is_its_default_schedule() -> None:
    records = run(job(64, 256, budget=Budget(trials=20)), TuningLog.in_memory())
    for task in (ToySpace(64).task, ToySpace(256).task):
        assert next(r for r in records if r.task == task).config == SPACES[task].default


def test_records_have_the_trace_of_their_candidates() -> None:
    class Traced(ToySpace):
        def apply(self, choose: Choose) -> Candidate:
            candidate = super().apply(choose)
            is_default = candidate.config == self.default
            return replace(candidate, trace=None if is_default else f"of {candidate.config.key}")

    tuning = replace(job(64, budget=Budget(trials=10)), space=lambda task: Traced(64))
    log = TuningLog.in_memory()
    default, *others = run(tuning, log)
    assert default.trace is None
    assert {each.trace == f"of {each.config.key}" for each in others} == {True}
    assert list(log.iterate()) == [default, *others]


def test_the_budget_counts_candidates_besides_the_baselines() -> None:
    log = TuningLog.in_memory()
    records = run(job(64, 256, budget=Budget(trials=21)), log)
    assert len(records) == len(log) == 21 + 2
    assert sorted(r.provenance.trial for r in records) == list(range(23))


def test_no_config_is_measured_twice() -> None:
    records = run(job(64, budget=Budget(trials=90)), TuningLog.in_memory())
    assert len({r.config for r in records}) == len(records) == 91


def test_a_space_that_is_used_up_ends_the_job() -> None:
    records = run(job(2, budget=Budget(trials=1000)), TuningLog.in_memory())
    assert len(records) == SPACES[ToySpace(2).task].size


def test_the_time_budget_ends_the_job() -> None:
    now = iter(range(10_000))
    machine = ToyMachine()
    tuner = Tuner(
        job(64, budget=Budget(secs=20)), TuningLog.in_memory(), machine, machine, lambda: float(next(now))
    )
    rounds = list(tuner.rounds())
    assert 2 <= len(rounds) < 20


def test_another_run_goes_on_where_the_first_stopped() -> None:
    log = TuningLog.in_memory()
    first = run(job(64, budget=Budget(trials=30)), log)
    second = run(job(64, budget=Budget(trials=30), seed=1), log)
    assert len(second) == 30, "the baseline is in the log already"
    assert not {r.config for r in first} & {r.config for r in second}


def test_failures_are_logged_and_never_win() -> None:
    machine = ToyMachine(fails=lambda candidate: candidate.schedule.unroll == 4)
    log = TuningLog.in_memory()
    records = run(job(64, budget=Budget(trials=60)), log, machine)
    failed = [r for r in records if isinstance(r.measurement, Failure)]
    assert failed
    assert all(r.config.by_name["unroll"] == 4 for r in failed)
    best = log.best(ToySpace(64).task, DEVICE.fingerprint)
    assert best is not None
    assert best.config.by_name["unroll"] != 4


def test_a_task_whose_default_does_not_run_is_left_out() -> None:
    def fails(candidate: Candidate) -> bool:
        return candidate.task == ToySpace(64).task and candidate.config == ToySpace(64).default

    machine = ToyMachine(fails)
    log = TuningLog.in_memory()
    tuner = tuner_in_no_time(job(64, 256, budget=Budget(trials=20)), log, machine)
    list(tuner.rounds())
    assert list(tuner.progress) == [ToySpace(256).task]
    assert [r.config for r in log.where(task=ToySpace(64).task)] == [ToySpace(64).default]


@pytest.mark.parametrize("kind", list(SamplerKind))
def test_every_named_sampler_searches_and_beats_the_default(kind: SamplerKind) -> None:
    if kind is SamplerKind.GP and find_spec("torch") is None:
        with pytest.raises(Misuse, match=r"needs torch.*pip install torch"):
            sampler_factory(kind)
        return
    log = TuningLog.in_memory()
    task = ToySpace(64).task
    records = run(job(64, budget=Budget(trials=24), kind=kind), log)
    best = log.best(task, DEVICE.fingerprint)
    assert best is not None
    assert best.secs < records[0].secs / 2


def test_the_same_seed_and_measurements_give_the_same_trials() -> None:
    def configs(seed: int) -> list[Config]:
        budget = Budget(trials=24)
        return [
            r.config
            for r in run(job(64, 256, budget=budget, seed=seed, kind=SamplerKind.TPE), TuningLog.in_memory())
        ]

    assert configs(3) == configs(3)
    assert configs(3) != configs(4)


def test_the_next_task_is_asked_while_the_first_is_being_compiled() -> None:
    proposed: list[TuningTask] = []
    looked_ahead: list[bool] = []

    class Noting(ToySpace):
        def apply(self, choose: Choose) -> Candidate:
            proposed.append(self.task)
            return super().apply(choose)

    class Patient(ToyMachine):
        """Compiles until the other task has been asked, or for a second where it never is."""

        def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
            others = set(tuning.tasks) - {candidates[0].task}
            deadline = time.monotonic() + 1.0
            while others.isdisjoint(proposed) and time.monotonic() < deadline:
                time.sleep(0.001)
            looked_ahead.append(not others.isdisjoint(proposed))
            return super().build(candidates)

        def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
            proposed.clear()
            return super().run(artifacts, best_secs)

    tuning = replace(
        job(64, 256, budget=Budget(trials=16), batch=4),
        space=lambda task: Noting(next(n for n in (64, 256) if ToySpace(n).task == task)),
    )
    records = run(tuning, TuningLog.in_memory(), Patient())
    assert len(records) == 18
    assert any(looked_ahead[1:]), "the first build is that of both baselines"


class _Overlapping(ToyMachine):
    """A machine whose boards measure two rounds at once."""

    overlaps = True


class _Farm(_Overlapping):
    """One whose rounds wait for another; met: rounds that ran while another did."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0
        self._both = threading.Barrier(2)

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        if not artifacts[0].is_reference:
            with suppress(threading.BrokenBarrierError):
                self._both.wait(2.0)
                self.met += 1
            self._both.reset()
        return super().run(artifacts, best_secs)


@pytest.mark.parametrize(
    ("extents", "rounds_at_once", "kind"),
    [
        ((64, 256), 1, SamplerKind.RANDOM),
        ((64, 256), 1, SamplerKind.TPE),
        ((256,), 2, SamplerKind.TPE),
        ((256,), 2, SamplerKind.COST_MODEL),
    ],
)
def test_rounds_that_overlap_leave_the_log_of_those_that_do_not(
    extents: tuple[int, ...], rounds_at_once: int, kind: SamplerKind
) -> None:
    def content(record: TuningRecord) -> tuple[object, ...]:
        return record.task.key, record.config, record.measurement, record.provenance.trial

    tuning = replace(
        job(*extents, budget=Budget(trials=32), kind=kind, batch=4),
        scheduler=round_robin,
        rounds_at_once=rounds_at_once,
    )
    farm, alone, together = _Farm(), TuningLog.in_memory(), TuningLog.in_memory()
    run(tuning, alone)
    run(tuning, together, farm)
    assert list(map(content, together.iterate())) == list(map(content, alone.iterate()))
    assert len(together) == 32 + len(extents)
    assert len({one.config for one in together.iterate()}) >= 32
    assert farm.met >= 6


def test_a_used_up_space_is_measured_to_the_end_while_rounds_overlap() -> None:
    class Leaving(ToyMachine):
        """Leaves the last candidate of each round for a later one."""

        left: set[Config] = set()  # noqa: RUF012 - of one test

        def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
            built: list[Artifact | Failure | None] = [*self.build(candidates)]
            if candidates[-1].config not in self.left:
                self.left.add(candidates[-1].config)
                built[-1] = None
            return built

    tuning = replace(job(2, budget=Budget(trials=1000), batch=4), rounds_at_once=2)
    log = TuningLog.in_memory()
    list(Tuner(tuning, log, Leaving(), _Overlapping(), lambda: 0.0).rounds())
    assert len({one.config for one in log.iterate()}) == len(log) == SPACES[ToySpace(2).task].size


def test_a_stop_leaves_the_round_that_has_begun_in_the_log() -> None:
    log = TuningLog.in_memory()
    tuning = replace(job(64, 256, budget=Budget(trials=60), batch=4), scheduler=round_robin)
    tuner = tuner_in_no_time(tuning, log, _Farm())
    rounds = tuner.rounds()
    while len(log) < 12:
        next(rounds)
    tuner.stop()
    before = len(log)
    assert sum(map(len, rounds)) == 4
    assert len(log) == before + 4 == tuner.trials + 2


@pytest.mark.parametrize(("losses", "trials"), [(2, 8), (3, 0)])
def test_a_default_schedule_that_its_device_is_lost_with_is_run_three_times(losses: int, trials: int) -> None:
    class Losing(ToyMachine):
        """Loses its device in the first runs."""

        runs = 0

        def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
            self.runs += 1
            if self.runs <= losses:
                return [Outcome(Failure(FailureKind.DEVICE_LOST, "gone", 0.1), None) for _ in artifacts]
            return super().run(artifacts, best_secs)

    log = TuningLog.in_memory()
    records = run(job(64, budget=Budget(trials=8)), log, Losing())
    assert len(records) == len(log) == (trials + 1 if trials else 0)


def test_a_task_for_another_target_is_misuse() -> None:
    task = TuningTask(ToySpace(64).task.workload, Target("abacus"))
    with pytest.raises(Misuse, match="for the device's target 'toy'"):
        TuningJob((task,), DEVICE, Budget(trials=1))


@pytest.mark.parametrize("limits", [{}, {"trials": 0}, {"secs": -1.0}])
def test_a_budget_without_a_positive_limit_is_misuse(limits: dict[str, float]) -> None:
    with pytest.raises(Misuse, match="budget"):
        Budget(**limits)  # type: ignore[arg-type]
