"""The tuning loop: propose, build, run, check, record, learn, repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np

from autotune.builders.builder import Builder, build_most
from autotune.runners.drift import DriftMonitor
from autotune.runners.factory import enter_runner, open_builder
from autotune.runners.runner import Runner
from autotune.search.task_study import TaskStudy
from autotune.search.warm_start import InitialConfigs
from autotune.tuning.execution import Execution, Inline
from autotune.tuning.finals import FinalResult, Finals
from autotune.tuning.gain_forecast import GainForecast
from autotune.tuning.provenance import new_job
from autotune.tuning.retries import RetryQueue
from autotune.tuning.task_scheduler import TaskProgress
from autotune.tuning.trial_recorder import TrialRecorder, without_lost_devices
from autotune.tuning.tuning_job import TuningJob
from autotune.workers.fork_server import ForkServer, kernel_server
from search_spaces import Candidate, Config, TuningTask
from tuning_logs import RecordStore, Timing, TuningRecord

# Baselines built at a time: enough to keep the cores busy, few enough that the first time comes soon.
_BASELINES_AT_ONCE = 4
# What the final of one task takes, about.
_FINAL_SECS = 8.0
# Finals shorter than this decide nothing.
_LEAST_FINALS_SECS = 1.0


class Tuner:
    """Runs a job round by round; the log is its only durable effect.

    >>> for records in Tuner(job, log).rounds():
    ...     report(records)

    Leaving the loop early, by `stop`, an exception or `close`, leaves a log from which the next tuner goes on: earlier
    records of the same tasks on the same device are not measured again, and the search starts from them.
    """

    def __init__(
        self,
        job: TuningJob,
        log: RecordStore,
        builder: Builder | None = None,
        runner: Runner | None = None,
        clock: Callable[[], float] = time.monotonic,
        run_prefix: str | None = None,
        execution: Execution | None = None,
        server: ForkServer | None = None,
    ) -> None:
        """builder and runner: those of the job's device, made and closed by `rounds`, unless given; server: what starts
        their processes, likewise.

        run_prefix: of the ids of this run and of the earlier ones that it continues: their trials count; by default no
        earlier run's.

        clock: seconds; the job's time is counted from here.

        execution: where measurements run, by default in this thread; with another, empty rounds are yielded meanwhile.

        pace tells how steady the machine was, as far as the tuner's own runner looks; verdicts who won the finals;
        forecast what another hour would bring.
        """
        self.job = job
        self.log = log
        self.provenance = new_job(job.seed, job.sampler_name, run_prefix or "")
        self.progress: dict[TuningTask, TaskProgress] = {}
        self.trials = 0
        self.drift = DriftMonitor()
        self.forecast = GainForecast()
        self.final_results: dict[TuningTask, FinalResult] = {}
        self._champions: dict[TuningTask, Config] = {}
        self._space_versions: dict[TuningTask, str] = {}
        self._recorder = TrialRecorder(job.device, self.provenance, self._space_versions)
        self._builder = builder
        self._runner = runner
        self._server = server
        self._clock = clock
        self._started = clock()
        self._run_prefix = run_prefix
        self._execution = execution or Inline()
        self._is_stopping = False

    @property
    def elapsed_secs(self) -> float:
        """Seconds since the tuner was made."""
        return self._clock() - self._started

    def stop(self) -> None:
        """Asks the tuner to end once the round under way is in the log."""
        self._is_stopping = True

    def rounds(self) -> Generator[list[TuningRecord], None, None]:
        """Yields the records of each round once they are in the log, the baselines first.

        While the workers compile one round, this process makes up the next where that is another task's.
        """
        with ExitStack() as stack:
            device, server = self.job.device, self._server
            if server is None and (self._builder is None or self._runner is None):
                server = stack.enter_context(kernel_server())
            # Its processes start while the runner is looked at.
            builder = self._builder or stack.enter_context(open_builder(device, server))
            runner = self._runner or (
                yield from self._execution.run(
                    lambda: enter_runner(stack, device, self.drift, self.job.stopwatch, server)
                )
            )
            initial_configs = self.job.initial_configs(self.log, device.fingerprint)
            studies: dict[TuningTask, TaskStudy] = {}
            yield from self._baselines(studies, initial_configs, builder, runner)
            yield from self._search(studies, builder, runner)
            yield from self._finals(studies, builder, runner)

    def _baselines(
        self,
        studies: dict[TuningTask, TaskStudy],
        initial_configs: InitialConfigs,
        builder: Builder,
        runner: Runner,
    ) -> Generator[list[TuningRecord], None, None]:
        """Runs every task's default schedule: the reference for numerics, and the time to beat. Their studies begin
        while others' defaults are compiled."""

        def begin(tasks: Sequence[TuningTask]) -> None:
            studies.update((task, self._study(task, initial_configs)) for task in tasks)

        tasks, size = self.job.tasks, _BASELINES_AT_ONCE
        begin(tasks[:size])
        for first in range(0, len(tasks), size):
            if self._is_stopping or self.job.budget.secs_left(self.elapsed_secs) <= 0:
                return
            spaces = [studies[task].space for task in tasks[first : first + size]]
            defaults = [space.apply(space.default) for space in spaces]
            following = tasks[first + size : first + 2 * size]
            records = yield from self._recorder.measure_on(
                self._execution, defaults, builder.build, runner, partial(begin, following)
            )
            fresh = []
            for record in records:
                task, known = record.task, self._earlier(record.task)
                if isinstance(record.measurement, Timing):
                    self.progress[task] = self._progress(task, record, known)
                is_new = not any(earlier.config == record.config for earlier in known)
                if is_new and without_lost_devices([record]):
                    fresh.append(record)
                    studies[task].tell([record])
            self.log.append(fresh)
            if fresh:
                yield fresh

    def _study(self, task: TuningTask, initial_configs: InitialConfigs) -> TaskStudy:
        space, known = self.job.space(task), self._earlier(task)
        self._space_versions[task] = space.version
        if (best := self.log.best(task, self.job.device.fingerprint)) is not None:
            self._champions[task] = best.config
        rng = _task_rng(self.job.seed, task, len(known))
        sampler = self.job.sampler(space, int(rng.integers(2**31)))
        self.trials += self._continued(known, space.default)
        return TaskStudy(space, sampler, rng, known, initial_configs)

    def _search(
        self, studies: dict[TuningTask, TaskStudy], builder: Builder, runner: Runner
    ) -> Generator[list[TuningRecord], None, None]:
        objective = self.job.objective
        scheduler = self.job.scheduler(list(self.progress.values()), self.job.batch, objective)
        started, before = self.elapsed_secs, self.trials
        lost = RetryQueue()
        ahead: tuple[TaskProgress, list[Candidate]] | None = None

        def ask(progress: TaskProgress, count: float) -> tuple[TaskProgress, list[Candidate]]:
            again = lost.take(progress.task)
            return progress, again + studies[progress.task].ask(max(int(count) - len(again), 0))

        def look_ahead() -> None:
            nonlocal ahead
            choice = scheduler.next_after(progress, len(candidates))
            if choice is not None and affordable > len(candidates):
                ahead = ask(choice[0], min(choice[1], affordable - len(candidates)))

        while (affordable := self._affordable(started, self.trials - before)) > 0:
            best_secs = {one.task.key: one.best for one in self.progress.values()}
            self.forecast.note(self.elapsed_secs - started, objective.value(best_secs))
            if ahead is None:
                choice = scheduler.next_task()
                if choice is None:
                    return
                ahead = ask(choice[0], min(choice[1], affordable))
            (progress, candidates), ahead = ahead, None
            if not candidates:
                progress.is_exhausted = True
                continue
            # Time has passed since they were asked for.
            candidates = candidates[: int(min(affordable, len(candidates)))]
            measured = yield from self._recorder.measure_on(
                self._execution, candidates, partial(build_most, builder), runner, look_ahead, progress.best
            )
            lost.note(candidates, measured)
            records = without_lost_devices(measured)
            self.log.append(records)
            studies[progress.task].tell(records)
            for record in records:
                progress.note(record)
            progress.waiting = lost.waiting(progress.task)
            self.trials += len(records)
            yield records

    def _finals(
        self, studies: dict[TuningTask, TaskStudy], builder: Builder, runner: Runner
    ) -> Iterator[list[TuningRecord]]:
        """Measures the finalists of every task in turns, the heaviest first, as long as there is time."""
        # What was disturbed takes longer to decide.
        share = min(
            self.job.finals_share * (2 if self.drift.unsteady else 1), max(self.job.finals_share, 0.5)
        )
        end = self.elapsed_secs / (1 - share)
        end = min(end, self.elapsed_secs + self.job.budget.secs_left(self.elapsed_secs))
        if end - self.elapsed_secs < _LEAST_FINALS_SECS:
            return
        finals = Finals(
            builder,
            runner,
            self._recorder,
            self.drift,
            lambda: not self._is_stopping and self.elapsed_secs < end,
            self.final_results,
        )
        heaviest = sorted(self.progress.values(), key=lambda one: -one.task.weight * one.best)
        for progress in heaviest:
            if self._is_stopping or self.elapsed_secs >= end:
                return
            space = studies[progress.task].space
            known = [one for one in self._earlier(progress.task) if one.space_version == space.version]
            for records in finals.decide(progress.task, space, known, self._champions.get(progress.task)):
                self.log.append(records)
                yield records

    def _affordable(self, started: float, trials: int) -> float:
        """How many more candidates fit into the budget, at the rate of the trials since the search started."""
        secs_left = self.job.budget.secs_left(self.elapsed_secs)
        if self.job.budget.secs is not None:
            finals_secs = _FINAL_SECS * len(self.progress)
            secs_left -= min(self.job.finals_share * self.job.budget.secs, finals_secs)
        trials_left = self.job.budget.trials_left(self.trials)
        hope = self.job.budget.gain_per_hour or 0.0
        if self._is_stopping or secs_left <= 0 or self.forecast.per_hour < hope:
            return 0
        if not trials:
            return trials_left
        secs_per_trial = (self.elapsed_secs - started) / trials
        return min(trials_left, max(secs_left // max(secs_per_trial, 1e-6), 1))

    def _continued(self, known: list[TuningRecord], default: Config) -> int:
        """The number of trials of continued runs among a task's records."""
        if self._run_prefix is None:
            return 0
        configs = {one.config for one in known if one.provenance.job.id.startswith(self._run_prefix)}
        return len(configs - {default})

    def _earlier(self, task: TuningTask) -> list[TuningRecord]:
        return self.log.where(task=task, device=self.job.device.fingerprint)

    def _progress(self, task: TuningTask, default: TuningRecord, known: list[TuningRecord]) -> TaskProgress:
        progress = TaskProgress(task, default.secs)
        # Finalists have several records; a config counts as one trial.
        first = {record.config: record for record in reversed(known) if record.config != default.config}
        for record in reversed(first.values()):
            progress.note(record)
        return progress


def _task_rng(seed: int, task: TuningTask, known: int) -> np.random.Generator:
    """A stream of its own for every task, the same whatever other tasks the job has; known: how many records there
    are, because a job that goes on would otherwise propose again what it proposed at first."""
    return np.random.default_rng([seed, int(task.key, 16) % 2**32, known])
