"""The tuning loop: propose, build, run, check, record, learn, repeat."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from autotune.builders.builder import Builder, build_most
from autotune.runners.drift import drift_warning
from autotune.runners.factory import watch_threads
from autotune.runners.runner import Noticing, Runner
from autotune.runners.steady_runner import SteadyRunner
from autotune.runners.thread_watch import ThreadWatch
from autotune.runners.workers import LocalWorkers, Workers
from autotune.search.task_study import TaskStudy
from autotune.search.warm_start import InitialConfigs
from autotune.tuning.execution import Execution, Inline
from autotune.tuning.finals import FinalResult, Finals, Subject
from autotune.tuning.gain_forecast import GainForecast
from autotune.tuning.proposals import Proposals
from autotune.tuning.provenance import new_job
from autotune.tuning.retries import RetryQueue
from autotune.tuning.task_scheduler import TaskProgress
from autotune.tuning.trial_recorder import TrialRecorder, without_lost_devices
from autotune.tuning.tuner_run import Trials, TunerRun
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Config, TuningTask
from tuning_logs import RecordStore, Timing, TuningRecord

# Baselines built at a time: enough to keep the cores busy, few enough that the first result comes soon.
_BASELINES_AT_ONCE = 4
# The usual duration of one task's final.
_FINAL_SECS = 8.0
# Shorter finals decide nothing.
_LEAST_FINALS_SECS = 1.0


class Tuner:
    """Runs a job round by round; the log is its only durable effect.

    >>> for records in Tuner(job, log).rounds():
    ...     report(records)

    Leaving the loop early, by `stop`, an exception or `close`, leaves a log from which the next tuner goes on: earlier
    records of the same tasks on the same device are not measured again, and the search starts from them.

    progress: by task, for those whose default schedule ran. trials: searched candidates, those of continued runs
    included; unsteady: those of them whose device was slow meanwhile, as far as its runner tells. forecast: the
    expected gain of another hour. final_results: the winners of the finals.
    """

    def __init__(
        self,
        job: TuningJob,
        log: RecordStore,
        builder: Builder | None = None,
        runner: Runner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """builder and runner: those of the job's device, made and closed by `rounds`, unless given.

        clock: seconds; the job's time is counted from here.
        """
        self.job = job
        self.log = log
        self.provenance = new_job(job.seed, job.sampler_name, job.run_prefix or "")
        self.progress: dict[TuningTask, TaskProgress] = {}
        self.trials = 0
        self.unsteady = 0
        self.forecast = GainForecast()
        self.final_results: dict[TuningTask, FinalResult] = {}
        self._earlier_best: dict[TuningTask, Config] = {}
        self._space_versions: dict[TuningTask, str] = {}
        self._recorder = TrialRecorder(job.device, self.provenance, self._space_versions)
        self._builder = builder
        self._runner = runner
        self._steady_runner: SteadyRunner | None = None
        self._watch: ThreadWatch | None = None
        self._noticing: list[Noticing] = []
        self._clock = clock
        self._started = clock()
        self._is_stopping = False

    @property
    def elapsed_secs(self) -> float:
        """Seconds since the tuner was made."""
        return self._clock() - self._started

    @property
    def slowdown(self) -> float:
        """The slowdown of the device against its usual speed, as far as its runner observes it."""
        return self._steady_runner.slowdown if self._steady_runner else 1.0

    @property
    def drift_warning(self) -> str | None:
        """A warning for the user of a device that was slow meanwhile; None where it was not."""
        repeated = self._steady_runner.repeated if self._steady_runner else 0
        return drift_warning(self.slowdown, repeated, self.unsteady)

    @property
    def _searched(self) -> list[TaskProgress]:
        """The tasks to search: those that a model calls; of the others the default schedule is measured."""
        return [one for one in self.progress.values() if one.task.weight]

    @property
    def thread_warning(self) -> str | None:
        """A warning for the user of threads that lose against one, or of a machine that grants others than at the
        start; None elsewhere."""
        return self._watch.warning if self._watch else None

    @property
    def worker_warning(self) -> str | None:
        """A warning of workers and boards that were lost, slow, unlike the others or refused; None where none is."""
        return "; ".join(notice for one in self._noticing for notice in one.notices) or None

    def stop(self) -> None:
        """Asks the tuner to end once the round under way is in the log."""
        self._is_stopping = True

    def rounds(
        self, execution: Execution | None = None, workers: Workers | None = None
    ) -> Generator[list[TuningRecord], None, None]:
        """Yields the records of each round once they are in the log, the baselines first.

        execution: where measurements run, by default in this thread; with another, empty rounds are yielded meanwhile.
        workers:   open the builder and the runner where none were given, by default this machine's processes.
        """
        execution = execution or Inline()
        with ExitStack() as stack:
            device = self.job.device
            if workers is None and (self._builder is None or self._runner is None):
                workers = stack.enter_context(LocalWorkers())
            # The builder's processes start while the runner is checked.
            builder = self._builder
            if builder is None:
                assert workers is not None
                builder = workers.open_builder(device)
                stack.callback(builder.close)
            runner = self._runner
            if runner is None:
                assert workers is not None
                runner = yield from self._open_runner(stack, execution, workers)
            self._noticing = [one for one in (builder, runner) if isinstance(one, Noticing)]
            self._steady_runner = SteadyRunner(runner)
            run = TunerRun(builder, self._steady_runner, execution, self._watch)
            yield from self._baselines(run)
            yield from self._search(run)
            yield from self._finals(run)

    def _open_runner(
        self, stack: ExitStack, execution: Execution, workers: Workers
    ) -> Generator[list[Any], None, Runner]:
        """The runner of the job's device, closed by the stack, with a watch on its threads."""
        device = self.job.device
        opened = yield from execution.run(lambda: workers.open_runner(device, self.job.stopwatch))
        stack.callback(opened.close)
        self._watch = yield from execution.run(lambda: watch_threads(device, opened, self._clock))
        return opened

    def _baselines(self, run: TunerRun) -> Generator[list[TuningRecord], None, None]:
        """Runs every task's default schedule, again where the device is lost with it: the reference for numerics, and
        the latency to beat. The studies of the next tasks begin while these are compiled."""
        initial_configs = self.job.initial_configs(self.log, self.job.device.fingerprint)

        def begin(tasks: Iterable[TuningTask]) -> None:
            fresh = (task for task in tasks if task not in run.studies)
            run.studies.update((task, self._study(task, initial_configs)) for task in fresh)

        waiting, size, retries = deque(self.job.tasks), _BASELINES_AT_ONCE, RetryQueue()
        begin(self.job.tasks[:size])
        while waiting:
            if self._is_stopping or self.job.budget.secs_left(self.elapsed_secs) <= 0:
                return
            tasks = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            defaults = [one for task in tasks for one in retries.take(task) or [run.default(task)]]
            trials = run.begin(defaults, run.builder.build, math.inf)
            begin(list(waiting)[:size])
            built, outcomes = yield from run.finish(trials)
            records = self._recorder.records(defaults, built, outcomes)
            retries.note(defaults, records)
            waiting.extend(task for task in tasks if retries.waiting(task))
            fresh = [record for record in records if self._note_baseline(run, record)]
            self.log.append(fresh)
            if fresh:
                yield fresh

    def _note_baseline(self, run: TunerRun, record: TuningRecord) -> bool:
        """Starts the progress of a task whose default schedule ran; whether the record is to be logged."""
        task, known = record.task, self._earlier(record.task)
        self.unsteady += _is_unsteady(record)
        if isinstance(record.measurement, Timing):
            self.progress[task] = TaskProgress.start(task, record, known)
        is_new = not any(earlier.config == record.config for earlier in known)
        is_fresh = is_new and bool(without_lost_devices([record]))
        if is_fresh:
            run.studies[task].tell([record])
        return is_fresh

    def _study(self, task: TuningTask, initial_configs: InitialConfigs) -> TaskStudy:
        space, known = self.job.space(task), self._earlier(task)
        self._space_versions[task] = space.version
        if (best := self.log.best(task, self.job.device.fingerprint)) is not None:
            self._earlier_best[task] = best.config
        rng = self.job.rng(task, len(known))
        sampler = self.job.sampler(space, int(rng.integers(2**31)))
        continued = self._continued(known)
        self.trials += len({one.config for one in continued} - {space.default})
        self.unsteady += sum(map(_is_unsteady, continued))
        return TaskStudy(space, sampler, rng, known, initial_configs)

    def _search(self, run: TunerRun) -> Generator[list[TuningRecord], None, None]:
        objective, progress = self.job.objective, self._searched
        scheduler = self.job.scheduler(progress, self.job.batch, objective)
        retries, build = RetryQueue(), partial(build_most, run.builder)
        proposals = Proposals(scheduler, run.studies, retries, self.job.rounds_at_once)
        started, before = self.elapsed_secs, self.trials
        ahead: Trials | None = None
        while (affordable := self._affordable(started, self.trials - before)) > 0 or ahead:
            value = objective.value({one.task.key: one.best for one in progress})
            self.forecast.note(self.elapsed_secs - started, value)
            trials, ahead = ahead, None
            if trials is None:
                if (proposal := proposals.next_round(affordable)) is None:
                    return
                one, candidates = proposal
                if not candidates:
                    one.is_exhausted = True
                    continue
                trials = run.begin(candidates, build, one.best)
            one = self.progress[trials.candidates[0].task]
            proposals.look_ahead(one, len(trials.candidates), affordable)
            if run.runner.overlaps and (following := proposals.take_ahead()):
                ahead = run.begin(following[1], build, following[0].best)
            built, outcomes = yield from run.finish(trials)
            measured = self._recorder.records(trials.candidates, built, outcomes)
            retries.note(trials.candidates, measured)
            records = without_lost_devices(measured)
            self.log.append(records)
            run.studies[one.task].tell(records)
            for record in records:
                one.note(record)
            one.waiting = retries.waiting(one.task)
            self.trials += len(records)
            self.unsteady += sum(map(_is_unsteady, records))
            yield records

    def _finals(self, run: TunerRun) -> Iterator[list[TuningRecord]]:
        """Measures leaders in turns with the default, then all finalists, heavy tasks first, while there is time."""
        # What was disturbed takes longer to decide.
        share = min(self.job.finals_share * (2 if self.unsteady else 1), max(self.job.finals_share, 0.5))
        end = self.elapsed_secs / (1 - share)
        end = min(end, self.elapsed_secs + self.job.budget.secs_left(self.elapsed_secs))
        if end - self.elapsed_secs < _LEAST_FINALS_SECS:
            return
        finals = Finals(
            run.builder,
            run.runner,
            self._recorder,
            lambda: not self._is_stopping and self.elapsed_secs < end,
            self.final_results,
        )
        heaviest = [one.task for one in sorted(self._searched, key=lambda one: -one.task.weight * one.best)]

        def subject(task: TuningTask) -> Subject:
            space = run.studies[task].space
            return space, [one for one in self._earlier(task) if one.space_version == space.version]

        for records in finals.of_all(heaviest, subject, self._earlier_best):
            self.log.append(records)
            yield records

    def _affordable(self, started: float, trials: int) -> float:
        """The number of candidates that fit into the budget, at the rate of the trials since the search started."""
        budget, elapsed = self.job.budget, self.elapsed_secs
        finals_secs = min(self.job.finals_share * (budget.secs or 0.0), _FINAL_SECS * len(self.progress))
        secs_left, trials_left = budget.secs_left(elapsed) - finals_secs, budget.trials_left(self.trials)
        if self._is_stopping or secs_left <= 0 or self.forecast.per_hour < (budget.gain_per_hour or 0.0):
            return 0
        if not trials:
            return trials_left
        secs_per_trial = (elapsed - started) / trials
        return min(trials_left, max(secs_left // max(secs_per_trial, 1e-6), 1))

    def _continued(self, known: list[TuningRecord]) -> list[TuningRecord]:
        """A task's records of continued runs."""
        if self.job.run_prefix is None:
            return []
        return [one for one in known if one.provenance.job.id.startswith(self.job.run_prefix)]

    def _earlier(self, task: TuningTask) -> list[TuningRecord]:
        return self.log.where(task=task, device=self.job.device.fingerprint)


def _is_unsteady(record: TuningRecord) -> bool:
    return isinstance(record.measurement, Timing) and not record.measurement.is_steady
