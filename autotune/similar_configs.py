"""What did well on similar tasks, carried over to the one at hand."""

from __future__ import annotations

from itertools import chain, islice, zip_longest
from typing import Final

from search_spaces import Config, SearchSpace
from search_spaces.config_transfer import transferred
from tuning_logs import DeviceFingerprint, RecordStore
from tuning_logs.ranking import ranked
from tuning_logs.similar_tasks import SimilarTasks

#: More tasks, or more of each, bring ever less: the nearest shape's best is worth most.
_TASKS: Final = 4
_BEST_OF_EACH: Final = 2
#: The best of a few random trials is no advice.
_SEARCHED_TRIALS: Final = 16


class SimilarConfigs:
    """Looks into a log for the same operator at other sizes, on one device.

    A job's own tasks teach each other that way: their records are in the log as soon as they are measured.
    """

    def __init__(self, log: RecordStore, device: DeviceFingerprint) -> None:
        self._log = log
        self._device = device
        self._similar = SimilarTasks()

    def of(self, space: SearchSpace) -> list[Config]:
        """Configs of the space: the best of the nearest sizes first, then the best of those further away, then the
        second best of each. Never the default; nothing where no similar task was searched for some trials."""
        task = space.task
        others = [
            each
            for each in self._log.outcomes()
            if each.device.key == self._device.key
            and each.task.target == task.target
            and each.task.key != task.key
            and each.trials >= _SEARCHED_TRIALS
        ]
        nearest = islice(self._similar.nearest(task, others), _TASKS)
        found = [
            [
                space.answer(transferred(record.config))
                for record in ranked(self._log, each.task, self._device, _BEST_OF_EACH)
                if record.space_version == space.version
            ]
            for each in nearest
        ]
        configs = chain.from_iterable(zip_longest(*found))
        return [config for config in dict.fromkeys(configs) if config is not None and config != space.default]
