"""Tasks on devices as a growing log has them; only what is new is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import TuningTask
from tuning_logs import DeviceFingerprint
from tuning_logs.file.followed_log import FollowedLog
from tuning_logs.selection.improvements import Improvement
from tuning_logs.selection.record_rows import Rows
from tuning_logs.selection.task_summary import Pair, TaskSummary, rows_of


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """A task on a device with the summary of its records."""

    task: TuningTask
    device: DeviceFingerprint
    summary: TaskSummary

    @property
    def pair(self) -> Pair:
        """The numbers of task and device in the log."""
        return self.summary.pair

    @property
    def improvements(self) -> tuple[Improvement, ...]:
        """The trials that were faster than all before."""
        return self.summary.improvements


class TaskGroups:
    """The groups of a log, by number of task and device, in order of first appearance."""

    def __init__(self, log: FollowedLog) -> None:
        self._log = log
        self._groups: dict[Pair, TaskGroup] = {}

    def update(self) -> None:
        """Takes in the records that are new."""
        changed = [
            one
            for pair, one in self._log.summaries().items()
            if pair not in self._groups or self._groups[pair].summary is not one
        ]
        for one, (task, device) in zip(changed, self._log.subjects(changed), strict=True):
            self._groups[one.pair] = TaskGroup(task, device, one)

    @property
    def groups(self) -> tuple[TaskGroup, ...]:
        """All groups."""
        return tuple(self._groups.values())

    def rows(self, pair: Pair) -> Rows:
        """The rows of a group, in the order of the file."""
        return rows_of(self._log.rows, pair)
