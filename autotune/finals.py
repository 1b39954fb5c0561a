"""The finals of a job: for each task, who is its fastest, beyond luck and in spite of a machine that was disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autotune.artifact import Artifact
from autotune.builder import Builder
from autotune.final import Final, Verdict
from autotune.finalists import best_sure_secs, choose_finalists, contenders_in_doubt, pooled_secs
from autotune.pace import Pace
from autotune.runner import Runner
from autotune.trial_recorder import TrialRecorder, held_by_a_device
from search_spaces import Config, SearchSpace, TuningTask
from tuning_logs import TuningRecord

# What was measured on a slow machine and may be the best is looked at again, so many at most.
_SECOND_LOOKS = 16
# A final may bring down the favourites, so that somebody becomes the best who took no part.
_MAX_FINALS = 3


@dataclass
class Finals:
    """Measures finalists again in turns; has_time: whether there is any left.

    verdicts: who won, by task.
    """

    builder: Builder
    runner: Runner
    recorder: TrialRecorder
    pace: Pace
    has_time: Callable[[], bool]
    verdicts: dict[TuningTask, Verdict]

    def decide(
        self,
        task: TuningTask,
        space: SearchSpace,
        known: Sequence[TuningRecord],
        champion: Config | None = None,
    ) -> Iterator[list[TuningRecord]]:
        """Holds second looks and finals until the best of the task's records took part in a final; yields the
        records that they bring. known: the task's records so far; champion: the best of earlier jobs, if any."""
        records = list(known)
        doubts = {
            config: slowdown for (key, config), slowdown in self.pace.in_doubt.items() if key == task.key
        }
        seen: set[Config] = set()
        for again in self._second_looks(space, records, doubts):
            looked_at = {each.config for each in again}
            records = [one for one in records if one.config not in looked_at] + again
            yield again
        for _ in range(_MAX_FINALS):
            configs = choose_finalists(records, space.default, doubts, champion)
            if len(configs) < 2 or set(configs[1:2]) <= seen or not self.has_time():
                return
            final, found = self._final(space, records, configs, doubts)
            if final.verdict is None:
                return
            self.verdicts[task] = final.verdict
            seen.update(configs)
            # Their latency is known now, as well as may be on such a machine.
            settled = {one.config for one in found} & doubts.keys()
            doubts = {config: slowdown for config, slowdown in doubts.items() if config not in settled}
            records = [one for one in records if one.config not in settled] + found
            if found:
                yield found

    def _second_looks(
        self, space: SearchSpace, records: Sequence[TuningRecord], doubts: dict[Config, float]
    ) -> Iterator[list[TuningRecord]]:
        """Measures once more what is in doubt and may be the best, if the machine is steady again."""
        chosen = contenders_in_doubt(records, space.default, doubts)[:_SECOND_LOOKS]
        if not chosen or not self.pace.is_steady or not self.has_time():
            return
        best_secs = best_sure_secs(pooled_secs(records, space.default, doubts), doubts)
        again = held_by_a_device(
            self.recorder.measure(
                [space.apply(config) for config in chosen], self.builder, self.runner, best_secs
            )
        )
        if not self.pace.is_steady:
            return
        for record in again:
            doubts.pop(record.config, None)
        yield again

    def _final(
        self,
        space: SearchSpace,
        records: Sequence[TuningRecord],
        configs: Sequence[Config],
        doubts: dict[Config, float],
    ) -> tuple[Final, list[TuningRecord]]:
        secs = pooled_secs(records, space.default, doubts)
        known_secs = {config: secs[config] for config in configs if config in secs and config not in doubts}
        candidates = {config: space.apply(config) for config in configs}
        built = self.builder.build(list(candidates.values()))
        final = Final(tuple(one for one in built if isinstance(one, Artifact)), known_secs)
        final.run(
            self.runner,
            lambda: self.pace.is_steady,
            self.has_time,
            min(known_secs.values(), default=float("inf")),
        )
        for artifact in final.artifacts:
            artifact.library.unlink(missing_ok=True)
        found = [
            self.recorder.record(candidates[artifact.config], outcome, artifact.gpu)
            for artifact, outcome in final.outcomes()
        ]
        return final, found
