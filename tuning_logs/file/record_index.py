"""Finds the records of a log by task, target and device without reading the others."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tuning_logs.format.line import RecordLine
from tuning_logs.records.record import TaskKey, TuningRecord
from tuning_logs.selection.best_record import Read, best_record, is_better
from tuning_logs.selection.record_rows import Rows, RowTable, groups


class RecordIndex:
    """Rows in the order of the file, numbered from 0, and the tasks, devices and jobs that they belong to."""

    def __init__(
        self,
        rows: Rows | None = None,
        tasks: Iterable[TaskKey] = (),
        devices: Iterable[str] = (),
        jobs: Iterable[str] = (),
    ) -> None:
        """tasks, devices and jobs: those that the rows' numbers stand for."""
        self._table = RowTable(rows)
        self._tasks = {key: number for number, key in enumerate(tasks)}
        self._devices = {key: number for number, key in enumerate(devices)}
        self._jobs = {key: number for number, key in enumerate(jobs)}
        # By task; found when it is first asked for.
        self._of_task: dict[int, array[int]] | None = None
        self._best: dict[tuple[int, int], tuple[int, TuningRecord | None]] = {}

    def add(self, line: RecordLine, offset: int, size: int) -> None:
        """Adds a record by its line."""
        task = self._tasks.setdefault((line.task, line.target), len(self._tasks))
        device = self._devices.setdefault(line.device, len(self._devices))
        job = self._jobs.setdefault(line.job, len(self._jobs))
        if self._of_task is not None:
            self._of_task.setdefault(task, array("q")).append(len(self._table))
        self._table.add(line, (offset, size), (task, device, job))

    @property
    def rows(self) -> Rows:
        """All rows, in the order of the file."""
        return self._table.rows

    @property
    def tasks(self) -> tuple[TaskKey, ...]:
        """By number, in order of first appearance."""
        return tuple(self._tasks)

    @property
    def devices(self) -> tuple[str, ...]:
        """Keys by number, in order of first appearance."""
        return tuple(self._devices)

    @property
    def jobs(self) -> tuple[str, ...]:
        """Ids by number, in order of first appearance."""
        return tuple(self._jobs)

    def where(self, task: TaskKey | None, device: str | None) -> Rows:
        """The rows of a task, of a device, of both, or all, in the order of the file."""
        rows = self.rows if task is None else self.rows[self._places_of(task)]
        return rows if device is None else rows[rows["device"] == self._devices.get(device, -1)]

    def best(self, task: TaskKey, device: str | None, read: Read) -> TuningRecord | None:
        """The best record of a task on a device, or on the device where it is fastest; see `best_record`."""
        rows = self.where(task, device)
        best: TuningRecord | None = None
        order, starts, _ = groups(rows["device"])
        for number in rows["device"][order[starts]]:
            record = self._best_on(self._tasks[task], int(number), rows, read)
            if best is None or (record is not None and is_better(record, best)):
                best = record
        return best

    def first_rows(self, field: str) -> Rows:
        """The first row of every task, device or job, by number; field: `task`, `device` or `job`."""
        rows = self.rows
        order, starts, _ = groups(rows[field])
        return rows[order[starts]]

    def __len__(self) -> int:
        return len(self._table)

    def _best_on(self, task: int, device: int, rows: Rows, read: Read) -> TuningRecord | None:
        rows = rows[rows["device"] == device]
        known = self._best.get((task, device))
        if known is None or known[0] != len(rows):
            known = self._best[task, device] = (len(rows), best_record(rows, read))
        return known[1]

    def _places_of(self, task: TaskKey) -> NDArray[np.int64]:
        if self._of_task is None:
            self._of_task = _places(self.rows["task"], len(self._tasks))
        places = self._of_task.get(self._tasks.get(task, -1), array("q"))
        return np.array(places, np.int64)


def _places(numbers: NDArray[np.uint32], count: int) -> dict[int, array[int]]:
    """The positions of each number."""
    order = np.argsort(numbers, kind="stable").astype(np.int64)
    starts = np.searchsorted(numbers[order], np.arange(count + 1))
    return {
        number: array("q", order[starts[number] : starts[number + 1]].tobytes()) for number in range(count)
    }
