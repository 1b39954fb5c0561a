"""Tuning jobs: the tasks, the device, the budget, and the search policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from autotune.devices.device import Device
from autotune.measurement.stopwatch import Stopwatch
from autotune.search.samplers import SamplerFactory, SamplerKind, sampler_factory
from autotune.search.warm_start import InitialConfigs, similar_configs
from autotune.tuning.budget import Budget
from autotune.tuning.limits import MOST_BATCH, MOST_ROUNDS_AT_ONCE, MOST_SEED
from autotune.tuning.objective import ModelShare, Objective
from autotune.tuning.task_scheduler import SchedulerFactory, TaskScheduler
from search_spaces import Misuse, SearchSpace, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, RecordStore


@dataclass(frozen=True)
class TuningJob:
    """A request to tune tasks on a device within a budget.

    batch:   the most candidates of a round; early rounds of a task are smaller.
    rounds_at_once: of one task, 1 or 2. The second is proposed before the outcomes of the first are known, wherever
             they are measured, and measured beside it by workers that have devices to spare.
    finals_share: the share of the time in which the fastest candidates of each task are measured again, in turns,
             so that the winner is not the luckiest; nothing is measured again where that is less than a second.
    space:   makes a task's search space.
    sampler: makes a task's sampler; `sampler_factory(SamplerKind.…)` for those with a name.
    sampler_name: the sampler in the provenance of the job's records.
    models:  the models whose latencies are minimised, with priorities; by default all tasks are one model.
    scheduler: divides the trials among the tasks.
    initial_configs: makes a space's initial configs from the log and the device.
    stopwatch: the effort of one measurement, by default a search's.
    run_prefix: of the ids of this run and of the earlier ones that it continues: their trials count against the
             budget; by default no earlier run's.
    seed:    decides every random choice of the search; measured times still differ from run to run.
    """

    tasks: tuple[TuningTask, ...]
    device: Device
    budget: Budget
    seed: int = 0
    batch: int = 16
    space: Callable[[TuningTask], SearchSpace] = TensorIRSpace
    sampler: SamplerFactory = field(default_factory=lambda: sampler_factory(SamplerKind.COST_MODEL))
    sampler_name: str = SamplerKind.COST_MODEL.value
    finals_share: float = 0.15
    models: tuple[ModelShare, ...] = ()
    scheduler: SchedulerFactory = TaskScheduler
    initial_configs: Callable[[RecordStore, DeviceFingerprint], InitialConfigs] = similar_configs
    stopwatch: Stopwatch | None = None
    run_prefix: str | None = None
    rounds_at_once: int = 1

    def __post_init__(self) -> None:
        if not self.tasks:
            raise Misuse("a tuning job needs at least one task; found none", code="AT602")
        if not 1 <= self.batch <= MOST_BATCH:
            raise Misuse(
                f"a round holds 1 to {MOST_BATCH:,} candidates; found batch={self.batch}", code="AT602"
            )
        if not 1 <= self.rounds_at_once <= MOST_ROUNDS_AT_ONCE:
            raise Misuse(
                f"1 to {MOST_ROUNDS_AT_ONCE} rounds of a task are under way at once; found {self.rounds_at_once}",
                code="AT602",
            )
        if not 0 <= self.seed <= MOST_SEED:
            raise Misuse(f"a seed is from 0 to {MOST_SEED}; found {self.seed}", code="AT602")
        if not 0 <= self.finals_share < 1:
            raise Misuse(
                f"the finals' share of the time is from 0 to 1; found {self.finals_share}", code="AT602"
            )
        unknown_keys = {str(task.target) for task in self.tasks} - {str(self.device.target)}
        if unknown_keys:
            raise Misuse(
                f"every task must be for the device's target {str(self.device.target)!r}; found {sorted(unknown_keys)}",
                code="AT602",
            )

    def rng(self, task: TuningTask, known: int) -> np.random.Generator:
        """A task's random stream, independent of the job's other tasks.

        known: the number of its earlier records, since a continued search would otherwise propose again what it
        proposed at first.
        """
        return np.random.default_rng([self.seed, int(task.key, 16) % 2**32, known])

    @property
    def objective(self) -> Objective:
        """The weighted latency that the scheduler minimises."""
        return Objective(self.models) if self.models else Objective.of_tasks(self.tasks)
