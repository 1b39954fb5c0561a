"""The interface of a tuning log, in a file or in a shared database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from search_spaces.task import TuningTask
from tuning_logs.records.damage import Damage
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.record import Job, TuningRecord
from tuning_logs.records.trial_counts import TrialCounts

if TYPE_CHECKING:
    import pandas


class RecordStore(Protocol):
    """Records in the order in which they were stored, found by task, target and device; see `TuningLog`."""

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The unreadable lines, with reasons."""
        ...

    def append(self, records: Sequence[TuningRecord]) -> None:
        """Adds records: all of them, durably, or none."""
        ...

    def iterate(self) -> Iterator[TuningRecord]:
        """All records, in order."""
        ...

    def where(
        self, *, task: TuningTask | None = None, device: DeviceFingerprint | None = None
    ) -> list[TuningRecord]:
        """The records of a task, of a device, or of both, in order."""
        ...

    def best(self, task: TuningTask, device: DeviceFingerprint | None = None) -> TuningRecord | None:
        """The record of the fastest config, with the repeats of all its records."""
        ...

    def trial_counts(self) -> list[TrialCounts]:
        """The trial counts of every task on every device, in order of first appearance."""
        ...

    def tasks(self) -> list[TuningTask]:
        """The tasks that have records, in order of first appearance."""
        ...

    def devices(self) -> list[DeviceFingerprint]:
        """The devices that have records, in order of first appearance."""
        ...

    def jobs(self) -> list[Job]:
        """The jobs that have records, in order of first appearance."""
        ...

    def to_pandas(self) -> pandas.DataFrame:
        """One row per record."""
        ...

    def close(self) -> None:
        """Gives up the right to append."""
        ...

    def __len__(self) -> int: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
