"""The job engine: devices search for their models, in turns or at once, between two builds of each model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

from autotune.devices.roofline import Roofline
from autotune.devices.roofline_measurement import measure_roofline
from autotune.jobs.device_run import ATTEMPTS, DeviceRun, TunerFactory, TurnClock, default_tuner
from autotune.jobs.job_file import ModelRequest
from autotune.jobs.job_round import JobRound
from autotune.jobs.known_models import known_models
from autotune.jobs.model_builds import ModelBuilds
from autotune.jobs.plan import JobPlan
from autotune.jobs.status import JobState, JobStatus, ModelStatus
from autotune.runners.workers import Workers
from autotune.tuning.execution import InBackground, Inline
from search_spaces import AutotuneError, Misuse
from search_spaces.errors import StorageError
from tuning_logs import Failure, RecordStore

# Of the time that is left after the models are checked, no more than this is kept for running them at the end.
_AFTER_SHARE = 0.5
_TURNS = 10
# How often boards are looked after while there is nothing else to do.
_LOOK_SECS = 0.05


@dataclass
class JobEngine:
    """Runs a plan; writes to the log and, by `model_builds`, to the folder.

    log:        open for appending; model_builds: builds and measures models, None for a job that only searches;
    earlier:    the status that the last run of the same job left;
    workers:    compile and measure, by default processes of each tuner's own;
    make_tuner: the tuner of one device; find_roofline: what so many threads can do at most;
    clock:      seconds; this run began at `started`, by default now, and the earlier ones took spent_secs.
    """

    plan: JobPlan
    log: RecordStore
    run_prefix: str
    model_builds: ModelBuilds | None = None
    earlier: JobStatus | None = None
    make_tuner: TunerFactory = default_tuner
    find_roofline: Callable[[int], Roofline] = measure_roofline
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    spent_secs: float = 0.0
    workers: Workers | None = None
    models: dict[tuple[str, str], ModelStatus] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    warnings: list[str] = field(default_factory=list)
    activity: str = "starting"
    state: JobState = JobState.RUNNING
    is_stopping: bool = False

    def __post_init__(self) -> None:
        self._began = self.clock() if self.started is None else self.started
        self.device_runs = [
            DeviceRun(one, TurnClock(self.clock), self.plan.moved_bytes, self.earlier)
            for one in self.plan.devices
        ]
        self.models |= known_models(self.device_runs, self.earlier)
        if self.earlier:
            self.failures.update(self.earlier.failures)
            self.crashes = self.earlier.crashes

    @property
    def elapsed_secs(self) -> float:
        """Seconds of this run."""
        return self.clock() - self._began

    @property
    def secs_left(self) -> float | None:
        """Seconds left of the budget, None where it has no limit."""
        secs = self.plan.request.budget.secs
        return None if secs is None else secs - self.spent_secs - self.elapsed_secs

    @property
    def trials(self) -> int:
        """Trials of this run and of those it continues."""
        return sum(run.tuner.trials for run in self.device_runs if run.tuner)

    def model_snapshots(self) -> tuple[ModelStatus, ...]:
        """The models on their devices as they stand."""
        return tuple(
            run.estimated(model.name, self.models[model.name, run.plan.device.connection])
            for run in self.device_runs
            for model in run.plan.models
        )

    def stop(self) -> None:
        """Requests an end after the round under way; no further build is started."""
        self.is_stopping = True
        for run in self.device_runs:
            if run.tuner:
                run.tuner.stop()

    def rounds(self) -> Generator[JobRound, None, None]:
        """Yields after every round of every device, and before everything else that takes long."""
        try:
            yield self._doing("starting")
            yield from self._before()
            yield from self._search()
            yield from self._after()
            self.state = JobState.STOPPED if self.is_stopping else JobState.FINISHED
            yield self._doing("stopped" if self.is_stopping else "finished")
        except BaseException as error:
            self.state = (
                JobState.STOPPED if isinstance(error, GeneratorExit | KeyboardInterrupt) else JobState.FAILED
            )
            self.activity = f"failed: {error}" if self.state is JobState.FAILED else "stopped"
            raise
        finally:
            for run in self.device_runs:
                if run.rounds:
                    run.rounds.close()

    def _before(self) -> Iterator[JobRound]:
        """Measures rooflines, and checks the models, building them with the log as it is."""
        if self.model_builds is None:
            return
        here = [run for run in self.device_runs if not run.plan.is_remote and self.model_builds.is_saving]
        for run in here:
            yield self._doing(f"measuring what {run.plan.device.name} can do at most")
            run.note_roofline(self.find_roofline(run.plan.device.threads))
        for run, status in self._in_order():
            request = self._request_of(run, status)
            if self.is_stopping or request is None or self.model_builds.has_before(status):
                continue
            yield self._doing(f"checking {status.name}, built as it is before the job")
            try:
                found = self.model_builds.before(request, run.plan.device, status)
                self.models[found.name, found.device] = found
            except (Misuse, StorageError):
                raise
            except AutotuneError as error:
                self.warnings.append(f"{status.name} is not measured as a whole: {error}")

    def _search(self) -> Iterator[JobRound]:
        """Devices of this machine take turns, the one that has had the least of its share first; boards measure
        meanwhile, and have what they measure next compiled between the turns."""
        left = self._search_secs()
        if (left is not None and left <= 0) or self._trials_are_spent:
            return
        for run in self.device_runs:
            self._start(run, left)
        end = float("inf") if left is None else self.elapsed_secs + left
        while waiting := [run for run in self.device_runs if not run.is_done]:
            is_over = self.is_stopping or self.elapsed_secs > end
            if is_over and not any(run.rounds for run in waiting):
                return
            ready = [run for run in waiting if run.retry_at <= self.elapsed_secs]
            if not ready:
                time.sleep(min(1.0, min(run.retry_at for run in waiting) - self.elapsed_secs))
                continue
            boards, here = ([one for one in ready if one.plan.is_remote is where] for where in (True, False))
            turns = [*boards, *sorted(here, key=lambda one: one.clock() / self.plan.time_share(one.plan))[:1]]
            is_idle = not here
            for run in turns:
                for happened in self._turn(run, left):
                    is_idle = False
                    yield happened
            if is_idle:
                time.sleep(_LOOK_SECS)

    def _turn(self, run: DeviceRun, secs: float | None) -> Iterator[JobRound]:
        """Gives a device a turn; yields nothing while its board is still at work, or once it is done."""
        name = run.plan.device.name
        self._wind(run)
        try:
            if run.rounds is None:
                self._start(run, secs)
            records = next(run.rounds, None) if run.rounds else None
        except (Misuse, StorageError):
            raise
        except AutotuneError as error:
            self._set_aside(run, error)
            yield self._doing(f"{name} failed and is left alone for a while: {error}")
            return
        if records is None:
            run.is_done = True
            run.clock.stop()
            return
        if not records:
            return
        run.failures, run.trouble = 0, None
        failed = [one.measurement for one in records if isinstance(one.measurement, Failure)]
        self.failures.update(str(failure.kind) for failure in failed)
        self.crashes += sum(failure.ended_process for failure in failed)
        self.activity = "searching"
        yield JobRound(self.activity, run, tuple(records))

    def _wind(self, run: DeviceRun) -> None:
        """Starts the clock of a device and stops those of this machine's other devices; boards' clocks never stop."""
        for other in self.device_runs:
            if other is not run and not run.plan.is_remote and not other.plan.is_remote:
                other.clock.stop()
        run.clock.start()

    def _start(self, run: DeviceRun, whole_secs: float | None) -> None:
        """Makes a tuner for what is left of a device's part of the whole search's time."""
        secs = None if whole_secs is None else whole_secs * self.plan.time_share(run.plan) - run.clock()
        if secs is not None and secs <= 0:
            run.is_done = True
            return
        job = replace(self.plan.job_of(run.plan, secs), run_prefix=self.run_prefix or None)
        run.tuner = self.make_tuner(job, self.log, run.clock)
        run.rounds = run.tuner.rounds(InBackground() if run.plan.is_remote else Inline(), self.workers)
        if self.is_stopping:
            run.tuner.stop()

    def _set_aside(self, run: DeviceRun, error: AutotuneError) -> None:
        """Schedules a retry of a device in trouble. Raises the error where no device has worked or none still does."""
        run.set_aside(error, self.elapsed_secs)
        nothing_worked = not any(one.clock() and one.tuner and one.tuner.progress for one in self.device_runs)
        if nothing_worked and len(self.device_runs) == 1:
            raise error
        if run.is_done:
            self.warnings.append(f"{run.plan.device.name} was given up after {ATTEMPTS} attempts: {error}")
            if all(one.is_done and one.trouble for one in self.device_runs):
                raise error

    def _after(self) -> Iterator[JobRound]:
        """Builds the models with the log as it has become, and runs them beside the builds from before."""
        if self.model_builds is None or not self.trials:
            return
        for run in self.device_runs:
            if run.roofline and run.clock() and not self.is_stopping:
                run.note_roofline(self.find_roofline(run.plan.device.threads))
        waiting = self._in_order()
        while waiting:
            run, status = waiting.pop(0)
            request = self._request_of(run, status)
            if self.is_stopping or request is None or not self.model_builds.has_before(status):
                continue
            if self.earlier and self.earlier.state is JobState.FINISHED and status.after and not run.clock():
                continue
            yield self._doing(f"building {status.name} and running it beside the build from before")
            try:
                found, warning = self.model_builds.after(
                    request, run.plan.device, status, _TURNS, lambda: self._spare_secs(waiting) or 0.0
                )
                self.models[found.name, found.device] = found
            except StorageError:
                raise
            except AutotuneError as error:
                warning = f"{status.name} is not measured after the job: {error}"
            if warning:
                self.warnings.append(warning)

    @property
    def _trials_are_spent(self) -> bool:
        """Whether earlier runs have finished and used up the budget of trials."""
        limit = self.plan.request.budget.trials
        if self.earlier is None or self.earlier.state is not JobState.FINISHED or limit is None:
            return False
        return self.earlier.trials >= limit

    def _spare_secs(self, waiting: list[tuple[DeviceRun, ModelStatus]]) -> float | None:
        """Seconds left of the budget beyond the final builds; 0 at a stop, None where it has no limit."""
        left = 0.0 if self.is_stopping else self.secs_left
        if left is None or self.model_builds is None:
            return left
        built = [one for _, one in waiting if self.model_builds.has_before(one)]
        return left - sum(self.model_builds.remaining_secs(one, _TURNS) for one in built)

    def _search_secs(self) -> float | None:
        """Seconds of the budget for the search: what the final builds leave, and the larger part of it at least."""
        left, spare = self.secs_left, self._spare_secs(self._in_order())
        if left is None or spare is None or self.is_stopping:
            return spare
        return max(spare, (1 - _AFTER_SHARE) * left)

    def _request_of(self, run: DeviceRun, status: ModelStatus) -> ModelRequest | None:
        """The model's file and shapes, None for an operator."""
        return next(one.request for one in run.plan.models if one.name == status.name)

    def _in_order(self) -> list[tuple[DeviceRun, ModelStatus]]:
        """Every model on every device, by priority, the highest first."""
        found = [
            (run, self.models[model.name, run.plan.device.connection])
            for run in self.device_runs
            for model in run.plan.models
        ]
        return sorted(found, key=lambda one: -one[1].priority)

    def _doing(self, activity: str) -> JobRound:
        self.activity = activity
        return JobRound(activity)
