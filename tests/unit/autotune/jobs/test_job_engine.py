"""The engine of jobs: whose turn it is, when it ends, and what it does with a device in trouble."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from autotune.builders.artifact import Artifact
from autotune.devices.device import Device
from autotune.jobs import engine as job_engine
from autotune.jobs.device_run import DeviceRun
from autotune.jobs.engine import JobEngine
from autotune.jobs.job_file import JobRequest, ModelRequest
from autotune.jobs.model_builds import ModelBuilds
from autotune.jobs.plan import JobPlan, PlannedModel, share_out
from autotune.jobs.status import JobState, ModelStatus, Roofline
from autotune.jobs.status_writer import StatusWriter
from autotune.runners.runner import Outcome
from autotune.search.samplers import SamplerKind
from autotune.testing.toy_machine import DEVICE, ToyMachine
from autotune.tuning.budget import Budget
from autotune.tuning.gain_forecast import GainForecast
from autotune.tuning.objective import ModelShare, Objective
from autotune.tuning.task_scheduler import TaskProgress
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import AutotuneError, Candidate, Target, ToySpace, TuningTask
from tuning_logs import DeviceFingerprint, Failure, FailureKind, RecordStore, TuningLog

SPACES = {space.task: space for space in (ToySpace(1 << size) for size in range(6, 20))}
TASKS = list(SPACES)
OTHER = Device("other", Target("toy"), "toy?2", DeviceFingerprint("other", {"cpu_model": "other"}))


class Clock:
    """Time that passes only when a machine works."""

    def __init__(self) -> None:
        self.secs = 0.0

    def __call__(self) -> float:
        return self.secs


class TimedMachine(ToyMachine):
    """Every trial takes a quarter of a second by the clock; `trouble` may raise before."""

    def __init__(self, clock: Clock, trouble: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.clock = clock
        self.trouble = trouble

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        self.trouble()
        return super().build(candidates)

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        self.clock.secs += 0.25 * len(artifacts)
        return super().run(artifacts, best_secs)


def engine(
    budget: Budget,
    clock: Clock,
    models: dict[Device, list[PlannedModel]],
    trouble: dict[str, Callable[[], None]] | None = None,
) -> JobEngine:
    request = JobRequest("toys", (), budget, "", batch=8, sampler=SamplerKind.RANDOM)
    plan = JobPlan(request, share_out(list(models.items())), lambda task: SPACES[task])

    def tuner(job: TuningJob, log: RecordStore, turns: Callable[[], float]) -> Tuner:
        machine = TimedMachine(clock, (trouble or {}).get(job.device.name, lambda: None))
        return Tuner(job, log, machine, machine, turns)

    return JobEngine(plan, TuningLog.in_memory(), "", make_tuner=tuner, clock=clock)


def one_model(*tasks: TuningTask, priority: float = 1.0) -> list[PlannedModel]:
    return [PlannedModel("model", tasks, priority)]


@pytest.mark.parametrize("secs", [60.0, pytest.param(600.0, marks=pytest.mark.long)])
def test_the_time_is_kept_within_one_per_cent_and_a_measurement(secs: float) -> None:
    clock = Clock()
    job = engine(Budget(secs=secs), clock, {DEVICE: one_model(*TASKS[3:])})
    for _ in job.rounds():
        pass
    assert secs * 0.97 <= clock.secs <= secs * 1.01 + 0.25 * 9


class TimedEndToEnd(ModelBuilds):
    """A build takes two seconds by the clock, half of what is reserved for it; a turn takes one.

    turns: how many each model had, by its name.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(Path(), "")
        self.clock = clock
        self.turns: dict[str, int] = {}

    def before(self, request: ModelRequest, device: Device, status: ModelStatus) -> ModelStatus:
        self.clock.secs += 2
        return msgspec.structs.replace(status, first_secs=1e-3)

    def after(
        self,
        request: ModelRequest,
        device: Device,
        status: ModelStatus,
        turns: int,
        spare_secs: Callable[[], float],
    ) -> tuple[ModelStatus, None]:
        self.clock.secs += 2 + turns
        while spare_secs() >= 1:
            self.clock.secs += 1
            turns += 1
        self.turns[request.name] = turns
        return status, None

    def has_before(self, status: ModelStatus) -> bool:
        return status.first_secs is not None

    def remaining_secs(self, status: ModelStatus, turns: int) -> float:
        return 4.0 + turns


def measured_job(budget: Budget) -> tuple[JobEngine, Clock, TimedEndToEnd]:
    """A job with three models that are built before and after it."""
    clock = Clock()
    models = [
        PlannedModel(name, (task,), priority, ModelRequest(Path(f"{name}.onnx"), name, ("toy",)))
        for name, task, priority in zip("abc", TASKS[3:6], (3.0, 2.0, 1.0), strict=True)
    ]
    job, model_builds = engine(budget, clock, {DEVICE: models}), TimedEndToEnd(clock)
    job.model_builds, job.find_roofline = model_builds, lambda _threads: Roofline(1e9, ())
    return job, clock, model_builds


def test_models_run_side_by_side_until_the_time_is_up_and_no_longer() -> None:
    job, clock, model_builds = measured_job(Budget(secs=100.0))
    for _ in job.rounds():
        pass
    assert 99 <= clock.secs <= 100
    assert min(model_builds.turns.values()) >= 10


def test_no_model_takes_the_time_that_another_one_waits_for() -> None:
    job, clock, model_builds = measured_job(Budget(secs=1000.0, trials=8))
    for _ in job.rounds():
        pass
    assert clock.secs <= 1000
    assert min(model_builds.turns.values()) >= 10


def test_models_take_no_more_turns_than_needed_where_time_has_no_limit() -> None:
    job, _, model_builds = measured_job(Budget(trials=80))
    for _ in job.rounds():
        pass
    assert model_builds.turns == {"a": 10, "b": 10, "c": 10}


def test_a_stop_ends_the_turns_however_much_time_is_left() -> None:
    job, _, model_builds = measured_job(Budget(secs=1000.0, trials=80))
    for happened in job.rounds():
        if happened.activity.startswith("building b and"):
            job.stop()
    assert model_builds.turns["a"] > 10
    assert model_builds.turns["b"] == 10
    assert "c" not in model_builds.turns


def test_devices_get_time_by_the_priorities_of_their_models() -> None:
    clock = Clock()
    job = engine(
        Budget(secs=200.0),
        clock,
        {DEVICE: one_model(*TASKS[3:], priority=3.0), OTHER: one_model(*TASKS[3:])},
    )
    for _ in job.rounds():
        pass
    first, second = (run.clock() for run in job.device_runs)
    assert first / second == pytest.approx(3.0, rel=0.1)
    assert clock.secs <= 200 * 1.01 + 2 * 0.25 * 9


def test_trials_are_shared_out_between_devices() -> None:
    job = engine(Budget(trials=80), Clock(), {DEVICE: one_model(*TASKS[3:]), OTHER: one_model(*TASKS[3:])})
    for _ in job.rounds():
        pass
    assert [run.tuner.trials for run in job.device_runs if run.tuner] == [40, 40]
    assert job.trials == 80


def test_a_device_in_trouble_is_left_alone_while_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    attempts: list[float] = []

    def trouble() -> None:
        attempts.append(clock.secs)
        if 2 <= len(attempts) <= 4:
            raise AutotuneError("the cable is out")

    monkeypatch.setattr(job_engine.time, "sleep", lambda secs: setattr(clock, "secs", clock.secs + secs))
    job = engine(
        Budget(trials=2000),
        clock,
        {DEVICE: one_model(TASKS[3]), OTHER: one_model(TASKS[2])},
        {"other": trouble},
    )
    activities = [happened.activity for happened in job.rounds()]
    assert sum("the cable is out" in activity for activity in activities) == 3
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts[1:5])]
    assert [pause >= wanted for pause, wanted in zip(pauses, (30, 60, 120), strict=True)] == [True] * 3
    assert job.state is JobState.FINISHED
    assert not any(run.trouble for run in job.device_runs)
    assert all(run.tuner and run.tuner.trials > 100 for run in job.device_runs)


def test_a_snapshot_says_why_a_device_is_left_alone_and_keeps_what_an_earlier_run_found() -> None:
    models = {DEVICE: one_model(TASKS[3]), OTHER: one_model(TASKS[2])}
    job = engine(Budget(trials=16), Clock(), models)
    first, second = job.device_runs
    second.set_aside(AutotuneError("the cable is out"), 0.0)
    assert (first.snapshot().quarantine, second.snapshot().quarantine) == (None, "the cable is out")
    for happened in job.rounds():
        if happened.run is first:
            break
    earlier = StatusWriter(job, None, "", 0).status()
    again = DeviceRun(first.plan, first.clock, first.moved_bytes, earlier)
    assert again.tuner is None
    assert again.task_snapshots() == first.task_snapshots()
    assert again.snapshot().trials == first.snapshot().trials


def test_a_device_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def trouble() -> None:
        raise AutotuneError("the cable is out")

    monkeypatch.setattr(job_engine.time, "sleep", lambda secs: setattr(clock, "secs", clock.secs + secs))
    job = engine(
        Budget(trials=200),
        clock,
        {DEVICE: one_model(TASKS[3]), OTHER: one_model(TASKS[2])},
        {"other": trouble},
    )
    for _ in job.rounds():
        pass
    assert job.state is JobState.FINISHED
    assert [warning for warning in job.warnings if "given up after 5" in warning]
    assert job.trials == 100


class Board(ToyMachine):
    """A board that does something before it runs."""

    def __init__(self, before_run: Callable[[], object]) -> None:
        super().__init__()
        self.before_run = before_run

    def run(self, artifacts: Sequence[Artifact], best_secs: float = math.inf) -> list[Outcome]:
        self.before_run()
        return super().run(artifacts, best_secs)


def board(name: str) -> Device:
    return Device(
        name, Target("toy"), f"rpc://127.0.0.1:1/{name}", DeviceFingerprint(name, {"cpu_model": name})
    )


def engine_of(machines: dict[Device, ToyMachine], trials: int) -> JobEngine:
    request = JobRequest("toys", (), Budget(trials=trials), "", batch=8, sampler=SamplerKind.RANDOM)
    models = [(device, one_model(*TASKS[3:])) for device in machines]
    plan = JobPlan(request, share_out(models), lambda task: SPACES[task])

    def tuner(job: TuningJob, log: RecordStore, turns: Callable[[], float]) -> Tuner:
        machine = machines[job.device]
        return Tuner(job, log, machine, machine, turns)

    return JobEngine(plan, TuningLog.in_memory(), "", make_tuner=tuner)


def test_boards_measure_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=30)
    job = engine_of({board(name): Board(together.wait) for name in ("one", "two")}, 80)
    for _ in job.rounds():
        pass
    assert not together.broken, "each waits for the other to measure too"
    assert job.trials == 80


def test_a_board_that_hangs_keeps_nobody_from_working() -> None:
    released = threading.Event()
    job = engine_of({DEVICE: ToyMachine(), board("hangs"): Board(lambda: released.wait(30))}, 200)
    here, there = job.device_runs
    for _ in job.rounds():
        if here.tuner and here.tuner.trials == 100 and not released.is_set():
            assert there.tuner and there.tuner.trials == 0
            released.set()
    assert released.is_set()
    assert job.trials == 200


def test_a_job_that_is_closed_does_not_wait_for_its_boards() -> None:
    released = threading.Event()
    job = engine_of({DEVICE: ToyMachine(), board("hangs"): Board(lambda: released.wait(30))}, 200)
    rounds = job.rounds()
    while not (job.device_runs[0].tuner and job.device_runs[0].tuner.trials > 10):
        next(rounds)
    rounds.close()
    assert not released.is_set()
    assert job.state is JobState.STOPPED
    released.set()


def test_a_job_whose_only_device_never_worked_fails_at_once() -> None:
    def trouble() -> None:
        raise AutotuneError("the cable is out")

    job = engine(Budget(trials=200), Clock(), {DEVICE: one_model(TASKS[3])}, {"toy": trouble})
    with pytest.raises(AutotuneError, match="cable"):
        list(job.rounds())
    assert job.state is JobState.FAILED


def test_crashes_are_trials_that_ended_their_process_whatever_their_messages_say() -> None:
    clock = Clock()
    job = engine(Budget(trials=40), clock, {DEVICE: [PlannedModel("a", tuple(TASKS[:1]))]})
    found = itertools.cycle(
        [
            Failure(FailureKind.RUN_ERROR, "killed", ended_process=True),
            Failure(FailureKind.BUILD_ERROR, "the process of compiling went wrong"),
        ]
    )

    class Crashing(TimedMachine):
        def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
            built = super().build(candidates)
            return [one if len(built) == 1 else next(found) for one in built]

    job.make_tuner = lambda job, log, turns: Tuner(job, log, Crashing(clock), Crashing(clock), turns)
    list(job.rounds())
    assert job.failures["run_error"] > 0
    assert job.failures["build_error"] > 0
    assert job.crashes == job.failures["run_error"]


def test_a_stop_ends_it_after_the_round() -> None:
    job = engine(Budget(trials=200), Clock(), {DEVICE: one_model(TASKS[3])})
    for happened in job.rounds():
        if happened.records:
            job.stop()
    assert job.state is JobState.STOPPED
    assert job.trials == 0


def test_the_status_adds_up_the_models_and_says_what_is_left() -> None:
    clock = Clock()
    models = {DEVICE: [PlannedModel("a", (TASKS[0], TASKS[1])), PlannedModel("b", (TASKS[2],))]}
    job = engine(Budget(secs=100.0), clock, models)
    writer = StatusWriter(job, None, "", 0)
    for happened in job.rounds():
        status = writer.write()
        if happened.records and job.trials > 100:
            break
    by_key = {task.key: task for task in status.tasks}
    for model, tasks in zip(status.models, (TASKS[:2], TASKS[2:3]), strict=True):
        assert model.estimated_secs == pytest.approx(sum(by_key[task.key].best_secs for task in tasks))
        assert model.estimated_start_secs > model.estimated_secs
    assert status.eta_secs == pytest.approx(100.0 - clock.secs)
    assert status.trials == sum(task.trials for task in status.tasks)


def test_a_search_that_promises_little_ends() -> None:
    clock = Clock()
    job = engine(Budget(gain_per_hour=0.01), clock, {DEVICE: one_model(TASKS[3])})
    for _ in job.rounds():
        pass
    assert job.state is JobState.FINISHED
    assert 60 < clock.secs < 3600, "neither before anything is known nor for ever"


def test_the_forecast_is_what_the_last_doubling_brought() -> None:
    forecast = GainForecast()
    assert forecast.per_hour == float("inf")
    for secs in range(100, 3700, 100):
        forecast.note(float(secs), 5.0 - 0.1 * (secs / 3600))
    assert forecast.per_hour == pytest.approx(1 - 2.718281828**-0.05, rel=1e-3)
    forecast.note(7200.0, 4.9)
    assert forecast.per_hour == 0.0


def test_a_small_model_counts_as_much_as_a_large_one() -> None:
    objective = Objective([ModelShare("small", {"a": 1}), ModelShare("large", {"b": 10})])
    worth = objective.worth({"a": 1e-3, "b": 1e-1})
    assert worth["a"] * 1e-3 == pytest.approx(worth["b"] * 1e-1)
    halved = objective.value({"a": 1e-3, "b": 1e-1}) - objective.value({"a": 0.5e-3, "b": 1e-1})
    assert halved == pytest.approx(0.6931471805599453 / 2)


def test_a_task_stands_still_after_many_trials_without_gain() -> None:
    progress = TaskProgress(TASKS[0], 1.0, best_secs=[0.5] * 256)
    assert not progress.has_plateaued
    progress.best_secs.append(0.5)
    assert progress.has_plateaued
    progress.best_secs.append(0.4)
    assert not progress.has_plateaued
