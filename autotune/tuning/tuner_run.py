"""The parts of one run of the tuner: builder, runner, and studies."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotune.builders.artifact import Artifact
from autotune.builders.builder import Builder
from autotune.runners.runner import Outcome
from autotune.runners.steady_runner import SteadyRunner
from autotune.runners.thread_watch import ThreadWatch
from autotune.search.task_study import TaskStudy
from autotune.tuning.execution import Execution
from search_spaces import TuningTask


@dataclass(frozen=True)
class TunerRun:
    """One call of `Tuner.rounds`: its builder, its runner, a watch on threads, and the studies of the tasks begun
    so far."""

    builder: Builder
    runner: SteadyRunner
    execution: Execution
    watch: ThreadWatch | None
    studies: dict[TuningTask, TaskStudy] = field(default_factory=dict)

    def measure(
        self, best_secs: float, artifacts: Sequence[Artifact]
    ) -> Generator[list[Any], None, list[Outcome]]:
        """Runs artifacts where the execution says; best_secs: the best latency of their task so far."""
        outcomes = yield from self.execution.run(lambda: self.runner.run(artifacts, best_secs))
        if self.watch:
            self.watch.look()
        return outcomes
