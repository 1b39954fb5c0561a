"""Candidates whose device was lost while they were measured: their turn comes again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from search_spaces import Candidate, Config, TuningTask
from tuning_logs import TuningRecord
from tuning_logs.measurement import is_device_lost

# One that takes its device down every time must not keep a job from its end.
_MOST_TRIES = 3


class LostCandidates:
    """Those of each task that are to be measured again, three times in all at most."""

    def __init__(self) -> None:
        self._waiting: dict[TuningTask, list[Candidate]] = defaultdict(list)
        self._losses: Counter[tuple[TuningTask, Config]] = Counter()

    def take(self, task: TuningTask) -> list[Candidate]:
        """Those of a task; they are not given out again unless their device is lost again."""
        return self._waiting.pop(task, [])

    def note(self, candidates: Sequence[Candidate], records: Sequence[TuningRecord]) -> None:
        """Looks for lost ones among what was measured; records: in the candidates' order."""
        for candidate, record in zip(candidates, records, strict=True):
            if is_device_lost(record.measurement):
                key = (candidate.task, candidate.config)
                self._losses[key] += 1
                if self._losses[key] < _MOST_TRIES:
                    self._waiting[candidate.task].append(candidate)
