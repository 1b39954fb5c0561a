"""Tables of logs for training: a row of features for every config, with its median latency."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cost_models.features.record_features import feature_cache, record_features
from cost_models.scores import scores_within
from search_spaces.errors import Misuse
from search_spaces.task import TuningTask
from tuning_logs.address import is_url, read_log
from tuning_logs.records.device_fingerprint import DeviceFingerprint
from tuning_logs.records.measurement import is_device_lost
from tuning_logs.records.record import TuningRecord


@dataclass(frozen=True, slots=True)
class TaskOnDevice:
    """The task and device of a group of rows.

    networks: the origins of the task: the names of the logs that it is in, without folder and suffix.
    """

    task: TuningTask
    device: DeviceFingerprint
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """One row for every config in the logs, with the median of its records.

    features:  (n, d) float32.
    secs:      (n,) median seconds, infinite for what failed.
    groups:    (n,) places in `facts`.
    facts:     the task, device and networks of each group.
    digests:   of each log, by its name.
    left_out:  the number of records whose program cannot be rebuilt.
    """

    features: NDArray[np.float32]
    secs: NDArray[np.float64]
    groups: NDArray[np.int64]
    facts: tuple[TaskOnDevice, ...]
    digests: tuple[tuple[str, str], ...]
    left_out: int = 0

    @classmethod
    def read(cls, logs: Sequence[str | Path], processes: int = 1) -> Self:
        """Reads logs (paths or URLs) and computes features, or takes them from the caches beside the logs.

        Raises Misuse where there are no logs, where a log is missing or is none, and where they hold no records.
        """
        if not logs:
            raise Misuse("expected at least one tuning log to learn from, found none", code="AT304")
        merged: dict[tuple[str, str, str], _Group] = {}
        digests, left_out = [], 0
        for log in map(str, logs):
            store = read_log(log)
            records = [record for record in store.iterate() if not is_device_lost(record.measurement)]
            rows = record_features(records, feature_cache(log), processes)
            usable = np.asarray(~np.isnan(rows).all(axis=1))
            left_out += int((~usable).sum())
            network = log.rpartition("/")[2] if is_url(log) else Path(log).name.split(".")[0]
            for record, row, is_usable in zip(records, rows, usable.tolist(), strict=True):
                if is_usable:
                    group = merged.setdefault(record.comparable_key, _Group(record.task, record.device))
                    group.add(network, record, row)
            digests.append((log, _digest(log, len(records))))
        if not merged:
            raise Misuse(
                f"expected records to learn from in {', '.join(map(str, logs))}, found none", code="AT304"
            )
        medians = [group.medians() for group in merged.values()]
        features = np.stack([row for group in merged.values() for row in group.rows()])
        secs = np.array([each for one in medians for each in one])
        groups = np.repeat(np.arange(len(merged), dtype=np.int64), [len(one) for one in medians])
        facts = tuple(group.facts for group in merged.values())
        return cls(features, secs, groups, facts, tuple(digests), left_out)

    def __len__(self) -> int:
        return len(self.secs)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n,) best_secs / secs within the task and device, so that the fastest has 1; 0 for a failure."""
        return scores_within(self.secs, self.groups)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(n,) whether a config ran and gave the right result."""
        return np.isfinite(self.secs)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> RecordTable:
        """A table of some of the rows; the groups keep their numbers."""
        return replace(
            self, features=self.features[chosen], secs=self.secs[chosen], groups=self.groups[chosen]
        )

    @property
    def tasks(self) -> NDArray[np.int64]:
        """(n,) one number per workload: the same on every target and device, so that none leaks into a test."""
        numbers: dict[str, int] = {}
        by_group = [numbers.setdefault(fact.task.key, len(numbers)) for fact in self.facts]
        return np.array(by_group, dtype=np.int64)[self.groups]


class _Group:
    def __init__(self, task: TuningTask, device: DeviceFingerprint) -> None:
        self._task, self._device = task, device
        self._networks: dict[str, None] = {}
        self._rows: dict[tuple[str, str, str | None], NDArray[np.float32]] = {}
        self._secs: dict[tuple[str, str, str | None], list[float]] = {}

    def add(self, network: str, record: TuningRecord, row: NDArray[np.float32]) -> None:
        self._networks[network] = None
        key = (record.space_version, record.config.key, record.trace)
        self._rows[key] = row
        self._secs.setdefault(key, []).append(record.secs)

    def rows(self) -> list[NDArray[np.float32]]:
        return list(self._rows.values())

    def medians(self) -> list[float]:
        """Median seconds of each row; infinite where any of its records failed."""
        return [max(each) if max(each) == np.inf else statistics.median(each) for each in self._secs.values()]

    @property
    def facts(self) -> TaskOnDevice:
        return TaskOnDevice(self._task, self._device, tuple(self._networks))


def device_text(fact: TaskOnDevice) -> str:
    """A device for people: its name, its threads, and what was compiled for it."""
    threads = fact.device.facts.get("threads")
    return (
        f"{fact.device.name}, {threads} threads, {fact.task.target}"
        if threads
        else f"{fact.device.name}, {fact.task.target}"
    )


def _digest(log: str, records: int) -> str:
    """sha256 of a file; of a database, which changes under us, the number of records."""
    if is_url(log):
        return f"{records} records"
    with Path(log).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
