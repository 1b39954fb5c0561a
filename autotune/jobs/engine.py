"""The one engine of all jobs: devices search for their models, in turns or at once, between two builds of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from autotune.devices.roofline import Roofline, higher
from autotune.devices.roofline_measurement import measure_roofline
from autotune.jobs.device_run import ATTEMPTS, Part, TunerFactory, TurnClock, own_tuner
from autotune.jobs.model_builds import EndToEnd
from autotune.jobs.plan import JobPlan
from autotune.jobs.status import JobStatus, ModelStatus, State
from autotune.tuning.execution import BoardLane, ThisLane
from search_spaces import AutotuneError, Misuse
from tuning_logs import Failure, RecordStore, TuningRecord

# Of a job's time no more than this goes into builds before the search starts; the first model is always built.
_BEFORE_SHARE = 0.1
_TURNS = 10
# How the message of a failure begins that took its worker process along.
_CRASHED = "the process "
# How often boards are looked after while there is nothing else to do.
_LOOK_SECS = 0.05


@dataclass(frozen=True)
class JobRound:
    """What happened last: records of a device that are in the log now, or just another activity."""

    activity: str
    part: Part | None = None
    records: tuple[TuningRecord, ...] = ()


@dataclass
class JobEngine:
    """Runs a plan; the log, the folder's builds, and what its caller writes down of it are its only effects.

    log:        open for appending; end_to_end: builds and measures models, None for a job that only searches;
    earlier:    the status that the last run of the same job left;
    make_tuner: the tuner of one device; find_roofline: what so many threads can do at most;
    clock:      seconds; this run began at `started`, by default now, and the earlier ones took spent_secs.
    """

    plan: JobPlan
    log: RecordStore
    family: str
    end_to_end: EndToEnd | None = None
    earlier: JobStatus | None = None
    make_tuner: TunerFactory = own_tuner
    find_roofline: Callable[[int], Roofline] = measure_roofline
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    spent_secs: float = 0.0
    models: dict[tuple[str, str], ModelStatus] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    warnings: list[str] = field(default_factory=list)
    activity: str = "starting"
    state: State = State.RUNNING
    is_stopping: bool = False

    def __post_init__(self) -> None:
        self._began = self.clock() if self.started is None else self.started
        self.parts = [Part(plan, TurnClock(self.clock)) for plan in self.plan.devices]
        known = {(one.name, one.device): one for one in self.earlier.models} if self.earlier else {}
        for part in self.parts:
            for model in part.plan.models:
                key = (model.name, part.plan.device.connection)
                path = str(model.request.path) if model.request else None
                fresh = ModelStatus(name=model.name, device=key[1], path=path)
                self.models[key] = known.get(key, fresh)
                self.models[key].priority = model.priority
                self.models[key].calls = dict(model.share.calls)
                self.models[key].needed_secs = model.request.needed_secs if model.request else None
        if self.earlier:
            self.failures.update(self.earlier.failures)
            self.crashes = self.earlier.crashes

    @property
    def elapsed_secs(self) -> float:
        """Seconds of this run."""
        return self.clock() - self._began

    @property
    def secs_left(self) -> float | None:
        """What is left of the budget's time, None where it has no limit."""
        secs = self.plan.request.budget.secs
        return None if secs is None else secs - self.spent_secs - self.elapsed_secs

    @property
    def trials(self) -> int:
        """Trials of this run and of those it continues."""
        return sum(part.tuner.trials for part in self.parts if part.tuner)

    def stop(self) -> None:
        """Asks for an end once the round under way is in the log; no build is started any more."""
        self.is_stopping = True
        for part in self.parts:
            if part.tuner:
                part.tuner.stop()

    def rounds(self) -> Generator[JobRound, None, None]:
        """Yields after every round of every device, and before everything else that takes long."""
        try:
            yield self._doing("starting")
            yield from self._before()
            yield from self._search()
            yield from self._after()
            self.state = State.STOPPED if self.is_stopping else State.FINISHED
            yield self._doing("stopped" if self.is_stopping else "finished")
        except BaseException as error:
            self.state = (
                State.STOPPED if isinstance(error, GeneratorExit | KeyboardInterrupt) else State.FAILED
            )
            self.activity = f"failed: {error}" if self.state is State.FAILED else "stopped"
            raise
        finally:
            for part in self.parts:
                if part.rounds:
                    part.rounds.close()

    def _before(self) -> Iterator[JobRound]:
        """Rooflines, and builds with the log as it is."""
        if self.end_to_end is None:
            return
        secs = self.plan.request.budget.secs
        limit = float("inf") if secs is None else _BEFORE_SHARE * secs
        here = [part for part in self.parts if not part.plan.is_remote]
        for part in here:
            yield self._doing(f"measuring what {part.plan.device.name} can do at most")
            found, known = self.find_roofline(part.plan.device.threads), self._known_roofline(part)
            part.roofline = higher(known, found) if known else found
        for part, status in self._in_order():
            request = next(one.request for one in part.plan.models if one.name == status.name)
            if self.is_stopping or request is None or self.end_to_end.has_before(status):
                continue
            started = any(one.first_secs is not None for one in self.models.values())
            if started and self.elapsed_secs > limit:
                self.warnings.append(f"{status.name} is not measured as a whole: the job is too short for it")
                continue
            yield self._doing(f"building {status.name} as it is before the job")
            try:
                self.end_to_end.before(request, part.plan.device, status)
            except AutotuneError as error:
                self.warnings.append(f"{status.name} is not measured as a whole: {error}")

    def _search(self) -> Iterator[JobRound]:
        """Devices of this machine take turns, the one that has had the least of its share first; boards measure
        meanwhile, and have what they measure next compiled between the turns."""
        left = self._spare_secs(self._in_order())
        if (left is not None and left <= 0) or self._trials_are_spent:
            return
        for part in self.parts:
            self._start(part, left)
        end = float("inf") if left is None else self.elapsed_secs + left
        while waiting := [part for part in self.parts if not part.is_done]:
            is_over = self.is_stopping or self.elapsed_secs > end
            if is_over and not any(part.rounds for part in waiting):
                return
            ready = [part for part in waiting if part.retry_at <= self.elapsed_secs]
            if not ready:
                time.sleep(min(1.0, min(part.retry_at for part in waiting) - self.elapsed_secs))
                continue
            boards, here = ([one for one in ready if one.plan.is_remote is where] for where in (True, False))
            turns = [*boards, *sorted(here, key=lambda one: one.clock() / self.plan.time_share(one.plan))[:1]]
            is_idle = not here
            for part in turns:
                for happened in self._turn(part, left):
                    is_idle = False
                    yield happened
            if is_idle:
                time.sleep(_LOOK_SECS)

    def _turn(self, part: Part, secs: float | None) -> Iterator[JobRound]:
        """Nothing where a board is still at work, or a device is done."""
        name = part.plan.device.name
        self._wind(part)
        try:
            if part.rounds is None:
                self._start(part, secs)
            records = next(part.rounds, None) if part.rounds else None
        except Misuse:
            raise
        except AutotuneError as error:
            self._set_aside(part, error)
            yield self._doing(f"{name} failed and is left alone for a while: {error}")
            return
        if records is None:
            part.is_done = True
            part.clock.stop()
            return
        if not records:
            return
        part.failures, part.trouble = 0, None
        failed = [one.measurement for one in records if isinstance(one.measurement, Failure)]
        self.failures.update(str(failure.kind) for failure in failed)
        self.crashes += sum(failure.message.startswith(_CRASHED) for failure in failed)
        self.activity = "searching"
        yield JobRound(self.activity, part, tuple(records))

    def _wind(self, part: Part) -> None:
        """The clock of a device of this machine goes until another one has its turn; that of a board does always."""
        for other in self.parts:
            if other is not part and not part.plan.is_remote and not other.plan.is_remote:
                other.clock.stop()
        part.clock.start()

    def _start(self, part: Part, whole_secs: float | None) -> None:
        """Makes a tuner for what is left of a device's part of the whole search's time."""
        secs = None if whole_secs is None else whole_secs * self.plan.time_share(part.plan) - part.clock()
        if secs is not None and secs <= 0:
            part.is_done = True
            return
        job = self.plan.job_of(part.plan, secs)
        part.tuner = self.make_tuner(
            job, self.log, part.clock, self.family, BoardLane() if part.plan.is_remote else ThisLane()
        )
        part.rounds = part.tuner.rounds()
        if self.is_stopping:
            part.tuner.stop()

    def _set_aside(self, part: Part, error: AutotuneError) -> None:
        """A device in trouble is retried later. Raises the error where nothing has ever worked, or not for long."""
        part.set_aside(error, self.elapsed_secs)
        nothing_worked = not any(one.clock() and one.tuner and one.tuner.progress for one in self.parts)
        if nothing_worked and len(self.parts) == 1:
            raise error
        if part.is_done:
            self.warnings.append(f"{part.plan.device.name} was given up after {ATTEMPTS} attempts: {error}")
            if all(one.is_done and one.trouble for one in self.parts):
                raise error

    def _after(self) -> Iterator[JobRound]:
        """Builds with the log as it has become, beside those from before."""
        if self.end_to_end is None:
            return
        for part in self.parts:
            if part.roofline and part.clock() and not self.is_stopping:
                part.roofline = higher(part.roofline, self.find_roofline(part.plan.device.threads))
        waiting = self._in_order()
        while waiting:
            part, status = waiting.pop(0)
            request = next(one.request for one in part.plan.models if one.name == status.name)
            if self.is_stopping or request is None or not self.end_to_end.has_before(status):
                continue
            if self.earlier and self.earlier.state is State.FINISHED and status.after and not part.clock():
                continue
            yield self._doing(f"building {status.name} and running it beside the build from before")
            try:
                warning = self.end_to_end.after(
                    request, part.plan.device, status, _TURNS, lambda: self._spare_secs(waiting) or 0.0
                )
            except AutotuneError as error:
                warning = f"{status.name} is not measured after the job: {error}"
            if warning:
                self.warnings.append(warning)

    @property
    def _trials_are_spent(self) -> bool:
        """Whether an earlier run has used them up, and there is nothing to go on with."""
        limit = self.plan.request.budget.trials
        if self.earlier is None or self.earlier.state is not State.FINISHED or limit is None:
            return False
        return self.earlier.trials >= limit

    def _spare_secs(self, waiting: list[tuple[Part, ModelStatus]]) -> float | None:
        """What the last builds of models leave of the budget's time: nothing at a stop, None where it has no limit."""
        left = 0.0 if self.is_stopping else self.secs_left
        if left is None or self.end_to_end is None:
            return left
        built = [one for _, one in waiting if self.end_to_end.has_before(one)]
        return left - sum(self.end_to_end.remaining_secs(one, _TURNS) for one in built)

    def _in_order(self) -> list[tuple[Part, ModelStatus]]:
        """Every model on every device, the most important first."""
        found = [
            (part, self.models[model.name, part.plan.device.connection])
            for part in self.parts
            for model in part.plan.models
        ]
        return sorted(found, key=lambda one: -one[1].priority)

    def _known_roofline(self, part: Part) -> Roofline | None:
        devices = self.earlier.devices if self.earlier else []
        key = part.plan.device.fingerprint.key
        return next((one.roofline for one in devices if one.fingerprint == key), None)

    def _doing(self, activity: str) -> JobRound:
        self.activity = activity
        return JobRound(activity)
