"""Collecting measurements that a cost model learns from: a fair sample of every task, the slow ones included."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np

from autotune.builders.builder import Builder
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.drift import DriftMonitor
from autotune.runners.factory import enter_runner, open_builder
from autotune.runners.runner import Runner
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.sample_proposer import SampleProposer
from autotune.search.task_study import TaskStudy
from autotune.tuning.budget import Budget
from autotune.tuning.provenance import new_job
from autotune.tuning.trial_recorder import TrialRecorder, without_lost_devices
from search_spaces import Misuse, SearchSpace, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import Failure, RecordStore, TuningRecord

#: What tells collected records from those of a search.
COLLECTION: Final = "collection"
#: A label may be rough where a candidate is far behind, but it must not be a cold start's: those are measured twice.
LABELS: Final = Stopwatch(budget_secs=0.06, max_repeats=10, precision=0.02, cold_secs=0.2)


class Collection:
    """Measures a sample of the tasks' search spaces; the log is its only durable effect.

    >>> for records in Collection(tasks, device, log, Budget(trials=2000)).rounds():
    ...     report(records)

    Every distinct task gets as many trials as the others, small search spaces are measured to the end. What is in the
    log on the same device is not measured again, and counts among the budget's trials; the untuned programs do not.
    """

    def __init__(
        self,
        tasks: Sequence[TuningTask],
        device: Device,
        log: RecordStore,
        budget: Budget,
        *,
        seed: int = 0,
        batch: int = 48,
        builder: Builder | None = None,
        runner: Runner | None = None,
        space: Callable[[TuningTask], SearchSpace] = TensorIRSpace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """builder and runner: those of the device, made and closed by `rounds`, unless given. A runner of one's own
        should measure with the stopwatch `LABELS`.

        Raises Misuse where there are no tasks, or batch is not positive.
        """
        if not tasks or batch < 1:
            raise Misuse(
                f"expected tasks and a positive batch; found {len(tasks)} tasks and a batch of {batch}"
            )
        self.trials = 0
        self._tasks = tuple({task.key: task for task in tasks}.values())
        self._device = device
        self._log = log
        self._budget = budget
        self._seed = seed
        self._batch = batch
        self._builder = builder
        self._runner = runner
        self._space = space
        self._clock = clock
        self._is_stopping = False

    def stop(self) -> None:
        """Asks to end once the round under way is in the log."""
        self._is_stopping = True

    def rounds(self) -> Generator[list[TuningRecord], None, None]:
        """Yields the records of each round, all of one task, once they are in the log."""
        started = self._clock()
        with ExitStack() as stack:
            builder = self._builder or stack.enter_context(open_builder(self._device))
            runner = self._runner or enter_runner(stack, self._device, DriftMonitor(), LABELS)
            sampled = [self._begin(task) for task in self._tasks]
            self.trials = sum(one.trials for one in sampled)
            versions = {one.space.task: one.space.version for one in sampled}
            recorder = TrialRecorder(self._device, new_job(self._seed, COLLECTION), versions)
            # A budget of few trials is to reach every task.
            largest = min(self._batch, max(self._budget.trials_left(0) / len(sampled), 1))
            while sampled and not self._is_stopping and self._budget.secs_left(self._clock() - started) > 0:
                count = int(min(largest, self._budget.trials_left(self.trials)))
                if count < 1:
                    return
                one = min(sampled, key=lambda sample: sample.trials)
                before = one.trials
                records = one.round(count, recorder, builder, runner)
                if one.is_done:
                    sampled.remove(one)
                self.trials += one.trials - before
                self._log.append(records)
                if records:
                    yield records

    def _begin(self, task: TuningTask) -> _Sample:
        space, known = self._space(task), self._log.where(task=task, device=self._device.fingerprint)
        # How many there are tells a run that goes on from the one before: it would propose the same again.
        rng = np.random.default_rng([self._seed, int(task.key, 16) % 2**32, len(known)])
        sampler = CostModelSampler(int(rng.integers(2**31)), proposer=SampleProposer())
        return _Sample(space, TaskStudy(space, sampler, rng, known), known)


class _Sample:
    """One task's sample so far.

    trials:  different configs measured, the untuned program not among them;
    is_done: nothing more can be measured.
    """

    def __init__(self, space: SearchSpace, study: TaskStudy, known: Sequence[TuningRecord]) -> None:
        self.space = space
        self.is_done = False
        self.trials = len({record.config for record in known} - {space.default})
        self._study = study
        self._best_secs = min((record.secs for record in known), default=math.inf)
        self._has_default = any(record.config == space.default for record in known)
        self._has_reference = False

    def round(
        self, count: int, recorder: TrialRecorder, builder: Builder, runner: Runner
    ) -> list[TuningRecord]:
        """Up to `count` new configs, measured; before the first of them, in every run, the untuned program, which
        the runner compares with."""
        records = [] if self._has_reference else self._measure_reference(recorder, builder, runner)
        candidates = [] if self.is_done else self._study.ask(count)
        self.is_done = not candidates
        if candidates:
            measured = without_lost_devices(recorder.measure(candidates, builder, runner, self._best_secs))
            self._study.tell(measured)
            self.trials += len(measured)
            records += measured
        self._best_secs = min([self._best_secs, *(record.secs for record in records)])
        return records

    def _measure_reference(
        self, recorder: TrialRecorder, builder: Builder, runner: Runner
    ) -> list[TuningRecord]:
        [record] = recorder.measure([self.space.apply(self.space.default)], builder, runner)
        self._has_reference = True
        # Without outputs to compare with, nothing of this task can be measured.
        self.is_done = isinstance(record.measurement, Failure)
        fresh = [] if self._has_default else without_lost_devices([record])
        self._study.tell(fresh)
        return fresh
