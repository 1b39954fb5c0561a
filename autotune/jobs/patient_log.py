"""A log that waits for its database, as long as the job has time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from autotune.workers.backoff import Backoff
from autotune.workers.closeable import Closeable
from search_spaces import TuningTask
from search_spaces.errors import StorageUnreachable
from tuning_logs import DeviceFingerprint, Job, RecordStore, TuningRecord
from tuning_logs.records.damage import Damage
from tuning_logs.records.trial_counts import TrialCounts

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")

_BACKOFF = Backoff(first_secs=1.0, longest_secs=30.0)
# A night without its database is not worth waiting for.
_MOST_SECS = 3600.0
# How often a request to stop is looked for.
_LOOK_SECS = 0.2


@dataclass(frozen=True)
class Patience:
    """Waiting for a database.

    note:    told why, at each attempt that fails; is_over: whether to wait no longer;
    clock, sleep: seconds.
    """

    note: Callable[[StorageUnreachable], None]
    is_over: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_for(self, call: Callable[[], T]) -> T:
        """Makes a call until the database answers. Raises StorageUnreachable once waiting is over, or after an hour."""
        failures, since = 0, self.clock()
        while True:
            try:
                return call()
            except StorageUnreachable as error:
                failures += 1
                if self.is_over() or self.clock() - since > _MOST_SECS:
                    raise
                self.note(error)
                self._pause(_BACKOFF.pause_secs(failures))

    def _pause(self, secs: float) -> None:
        end = self.clock() + secs
        while (left := end - self.clock()) > 0 and not self.is_over():
            self.sleep(min(left, _LOOK_SECS))


class PatientLog(Closeable):
    """A log of which each call waits for the database; see `RecordStore`."""

    def __init__(self, log: RecordStore, patience: Patience) -> None:
        self._log = log
        self._wait_for = patience.wait_for

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The unreadable lines, with reasons."""
        return self._log.damage

    def append(self, records: Sequence[TuningRecord]) -> None:
        """Adds records; those that a lost connection left in doubt are there once all the same."""
        self._wait_for(lambda: self._log.append(records))

    def iterate(self) -> Iterator[TuningRecord]:
        """All records, in order, read before the first is given."""
        return iter(self._wait_for(lambda: list(self._log.iterate())))

    def where(
        self, *, task: TuningTask | None = None, device: DeviceFingerprint | None = None
    ) -> list[TuningRecord]:
        """The records of a task, of a device, or of both, in order."""
        return self._wait_for(lambda: self._log.where(task=task, device=device))

    def best(self, task: TuningTask, device: DeviceFingerprint | None = None) -> TuningRecord | None:
        """The record of the fastest config."""
        return self._wait_for(lambda: self._log.best(task, device))

    def trial_counts(self) -> list[TrialCounts]:
        """The trial counts of every task on every device."""
        return self._wait_for(self._log.trial_counts)

    def tasks(self) -> list[TuningTask]:
        """The tasks that have records."""
        return self._wait_for(self._log.tasks)

    def devices(self) -> list[DeviceFingerprint]:
        """The devices that have records."""
        return self._wait_for(self._log.devices)

    def jobs(self) -> list[Job]:
        """The jobs that have records."""
        return self._wait_for(self._log.jobs)

    def to_pandas(self) -> pandas.DataFrame:
        """One row per record."""
        return self._wait_for(self._log.to_pandas)

    def close(self) -> None:
        """Gives up the right to append."""
        self._log.close()

    def __len__(self) -> int:
        return self._wait_for(lambda: len(self._log))
