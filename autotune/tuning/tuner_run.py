"""The parts of one run of the tuner: builder, runner, and studies; and the trials that they have under way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotune.builders.artifact import Artifact, discard
from autotune.builders.builder import Builder
from autotune.runners.runner import Outcome
from autotune.runners.steady_runner import SteadyRunner
from autotune.runners.thread_watch import ThreadWatch
from autotune.search.task_study import TaskStudy
from autotune.tuning.execution import BackgroundCall, Execution
from search_spaces import Candidate, TuningTask
from tuning_logs import Failure

#: Builds candidates; None where one is not ready yet.
Build = Callable[[Sequence[Candidate]], Sequence[Artifact | Failure | None]]


@dataclass(frozen=True)
class Trials:
    """Candidates under way. best_secs: the best latency of their task so far; measuring: None where that begins once
    they are waited for."""

    candidates: Sequence[Candidate]
    best_secs: float
    building: BackgroundCall[Sequence[Artifact | Failure | None]]
    measuring: BackgroundCall[list[Outcome]] | None = None


@dataclass(frozen=True)
class TunerRun:
    """One call of `Tuner.rounds`: its builder, its runner, a watch on threads, and the studies of the tasks begun
    so far."""

    builder: Builder
    runner: SteadyRunner
    execution: Execution
    watch: ThreadWatch | None
    studies: dict[TuningTask, TaskStudy] = field(default_factory=dict)

    def default(self, task: TuningTask) -> Candidate:
        """The default schedule of a task that was begun."""
        space = self.studies[task].space
        return space.apply(space.default)

    def begin(self, candidates: Sequence[Candidate], build: Build, best_secs: float) -> Trials:
        """Starts building in the background, and measuring thereafter where the runner takes several batches at once.

        Elsewhere nothing is measured here while the caller goes on.
        """
        building = BackgroundCall(lambda: build(candidates))
        if not self.runner.overlaps:
            return Trials(candidates, best_secs, building)
        measuring = BackgroundCall(lambda: self.runner.run(_artifacts(building.result()), best_secs))
        return Trials(candidates, best_secs, building, measuring)

    def finish(
        self, trials: Trials
    ) -> Generator[list[Any], None, tuple[Sequence[Artifact | Failure | None], list[Outcome]]]:
        """Returns what was built and the outcomes of its artifacts, which are measured now where that has not begun."""
        built = trials.building.result()

        def measured() -> list[Outcome]:
            if trials.measuring is not None:
                return trials.measuring.result()
            return self.runner.run(_artifacts(built), trials.best_secs)

        try:
            outcomes = yield from self.execution.run(measured)
        finally:
            discard(built)
        if self.watch:
            self.watch.look()
        return built, outcomes


def _artifacts(built: Sequence[Artifact | Failure | None]) -> list[Artifact]:
    return [one for one in built if isinstance(one, Artifact)]
