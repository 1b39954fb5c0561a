"""Retries of candidates without a measurement, because the compiler was slow or the device was lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from search_spaces import Candidate, Config, TuningTask
from tuning_logs import TuningRecord
from tuning_logs.records.measurement import is_device_lost

# One that takes its device down every time must not keep a job from its end.
_MOST_TRIES = 3


class RetryQueue:
    """Candidates to be measured again, by task; one that loses its device gets three attempts in all."""

    def __init__(self) -> None:
        self._waiting: dict[TuningTask, list[Candidate]] = defaultdict(list)
        self._losses: Counter[tuple[TuningTask, Config]] = Counter()

    def take(self, task: TuningTask) -> list[Candidate]:
        """Removes and returns the candidates of a task."""
        return self._waiting.pop(task, [])

    def waiting(self, task: TuningTask) -> int:
        """The number of candidates of a task."""
        return len(self._waiting.get(task, ()))

    def note(self, candidates: Sequence[Candidate], records: Sequence[TuningRecord]) -> None:
        """Adds the candidates without a record, and those whose device was lost."""
        found = {record.config: record for record in records}
        for candidate in candidates:
            record = found.get(candidate.config)
            if record is not None and not is_device_lost(record.measurement):
                continue
            key = (candidate.task, candidate.config)
            if record is not None:
                self._losses[key] += 1
            if self._losses[key] < _MOST_TRIES:
                self._waiting[candidate.task].append(candidate)
