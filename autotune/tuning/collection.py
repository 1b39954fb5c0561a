"""Collecting training data for cost models: a tuner that samples every task alike, slow candidates included."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

from autotune.builders.builder import Builder
from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.runner import Runner
from autotune.runners.workers import Workers
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.sample_proposer import SampleProposer
from autotune.search.warm_start import no_initial_configs
from autotune.tuning.budget import Budget
from autotune.tuning.task_scheduler import round_robin
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Misuse, SearchSpace, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import RecordStore, TuningRecord

#: The sampler's name in the provenance of collected records.
COLLECTION: Final = "collection"
#: A label may be rough where a candidate is far behind, but it must not be a cold start's: those are measured twice.
LABELS: Final = Stopwatch(budget_secs=0.06, max_repeats=10, precision=0.02, cold_secs=0.2)
#: Of the ids of the runs whose records count as trials: every run's.
_ANY_RUN: Final = ""


@dataclass
class Collection:
    """Measures a sample of the tasks' search spaces; the log is its only durable effect.

    >>> for records in Collection(tasks, device, log, Budget(trials=2000)).rounds():
    ...     report(records)

    Every distinct task gets as many trials as the others, small search spaces are measured to the end. Records of the
    log on the same device are not measured again, and count among the budget's trials; the untuned programs do not.

    builder and runner: those of the device, made and closed by `rounds`, unless given. A runner of one's own should
    measure with the stopwatch `LABELS`.

    Raises Misuse where there are no tasks, or batch is not positive.
    """

    tasks: Sequence[TuningTask]
    device: Device
    log: RecordStore
    budget: Budget
    _: KW_ONLY
    seed: int = 0
    batch: int = 48
    builder: Builder | None = None
    runner: Runner | None = None
    space: Callable[[TuningTask], SearchSpace] = TensorIRSpace
    clock: Callable[[], float] = time.monotonic
    _tuner: Tuner = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tuner = Tuner(self.job, self.log, self.builder, self.runner, self.clock)

    @property
    def job(self) -> TuningJob:
        """The tuning job of the sample: turns in place of a gradient, no initial configs, no finals."""
        if not self.tasks or self.batch < 1:
            raise Misuse(
                f"expected tasks and a positive batch; found {len(self.tasks)} tasks and a batch of {self.batch}",
                code="AT602",
            )
        tasks = tuple({task.key: task for task in self.tasks}.values())
        return TuningJob(
            tasks,
            self.device,
            self.budget,
            self.seed,
            # A budget of few trials is to reach every task.
            int(min(self.batch, max(self.budget.trials_left(0) / len(tasks), 1))),
            self.space,
            lambda _space, seed: CostModelSampler(seed, proposer=SampleProposer()),
            COLLECTION,
            finals_share=0.0,
            scheduler=round_robin,
            initial_configs=no_initial_configs,
            stopwatch=LABELS,
            run_prefix=_ANY_RUN,
        )

    @property
    def trials(self) -> int:
        """Different configs measured, those in the log included, the untuned programs not."""
        return self._tuner.trials

    @property
    def thread_warning(self) -> str | None:
        """See `Tuner.thread_warning`."""
        return self._tuner.thread_warning

    def stop(self) -> None:
        """Asks for an end once the round under way is in the log."""
        self._tuner.stop()

    def rounds(self, workers: Workers | None = None) -> Generator[list[TuningRecord], None, None]:
        """Yields the records of each round once they are in the log: those of the untuned programs, then of one task
        at a time. workers: see `Tuner.rounds`."""
        with closing(self._tuner.rounds(workers=workers)) as rounds:
            for records in rounds:
                if records:
                    yield records
