"""Warm starts: initial configs of a search from the best configs of similar tasks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice, zip_longest
from typing import Final

from search_spaces import Config, SearchSpace, TuningTask
from search_spaces.config_transfer import transferred
from tuning_logs import DeviceFingerprint, RecordStore
from tuning_logs.records.trial_counts import TrialCounts
from tuning_logs.selection.ranking import ranked
from tuning_logs.selection.similar_tasks import SimilarTasks

#: More tasks, or more of each, bring ever less: the nearest shape's best is worth most.
_TASKS: Final = 4
_BEST_OF_EACH: Final = 2
#: The best of a few random trials is no advice.
_SEARCHED_TRIALS: Final = 16

#: Initial configs of a space, the most promising first.
InitialConfigs = Callable[[SearchSpace], list[Config]]


def similar_configs(log: RecordStore, device: DeviceFingerprint) -> InitialConfigs:
    """Initial configs from similar tasks of a log, whatever is in it when they are asked for."""
    return WarmStart(log, device).of


def no_initial_configs(_log: RecordStore, _device: DeviceFingerprint) -> InitialConfigs:
    """A search from nothing: initial configs of no space."""
    return lambda _space: []


class WarmStart:
    """Searches a log for the same operator at other sizes on one device, and for the very same one on other devices.

    A job's own tasks teach each other that way: their records are in the log as soon as they are measured. So does the
    log of a machine with other vectors, caches or threads.
    """

    def __init__(self, log: RecordStore, device: DeviceFingerprint) -> None:
        self._log = log
        self._device = device
        self._similar = SimilarTasks()

    def of(self, space: SearchSpace) -> list[Config]:
        """Configs of the space: what was best for this operator on other devices and targets, for the nearest sizes
        here, then for those further away, then the second best of each. Never the default; nothing where no such task
        was searched for some trials."""
        task = space.task
        searched = [each for each in self._log.trial_counts() if each.trials >= _SEARCHED_TRIALS]
        here = [each for each in searched if self._is_here(each, task) and each.task.key != task.key]
        nearest = islice(self._similar.nearest(task, here), _TASKS)
        elsewhere = islice((each for each in searched if self._is_elsewhere(each, task)), _TASKS)
        found = [
            [
                space.answer(transferred(record.config))
                for record in ranked(self._log, each.task, each.device, _BEST_OF_EACH)
                if record.space_version == space.version
            ]
            for each in (*elsewhere, *nearest)
        ]
        configs = chain.from_iterable(zip_longest(*found))
        return [config for config in dict.fromkeys(configs) if config is not None and config != space.default]

    def _is_here(self, other: TrialCounts, task: TuningTask) -> bool:
        return other.device.key == self._device.key and other.task.target == task.target

    def _is_elsewhere(self, other: TrialCounts, task: TuningTask) -> bool:
        same = other.task.workload.key == task.workload.key and other.task.target.kind == task.target.kind
        return same and not self._is_here(other, task)
