"""Candidates that nothing came of, because the compiler was slow or the device was lost: their turn comes again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from search_spaces import Candidate, Config, TuningTask
from tuning_logs import TuningRecord
from tuning_logs.records.measurement import is_device_lost

# One that takes its device down every time must not keep a job from its end.
_MOST_TRIES = 3


class RetryQueue:
    """Those of each task that are to be measured again; who loses the device, three times in all at most."""

    def __init__(self) -> None:
        self._waiting: dict[TuningTask, list[Candidate]] = defaultdict(list)
        self._losses: Counter[tuple[TuningTask, Config]] = Counter()

    def take(self, task: TuningTask) -> list[Candidate]:
        """Those of a task; they are not given out again unless nothing comes of them again."""
        return self._waiting.pop(task, [])

    def waiting(self, task: TuningTask) -> int:
        """How many of a task there are."""
        return len(self._waiting.get(task, ()))

    def note(self, candidates: Sequence[Candidate], records: Sequence[TuningRecord]) -> None:
        """Looks for candidates without a record, and for those whose device was lost."""
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
