"""The documents of a job's results: verdicts, engines beside it, packages, and the history of its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from autotune.service.documents import JobDocument


@dataclass(frozen=True)
class Miss:
    """A need that an offer does not hold: the limit, and the number that was found."""

    need: str
    limit: float
    found: float | None


@dataclass(frozen=True)
class OfferVerdict:
    """A model on a device held against its needs.

    secs: of one inference, None before it is known; misses: the needs that are not held; is_chosen: whether it is the
    cheapest of its model's that hold them all.
    """

    model: str
    device: str
    secs: float | None
    low_secs: float | None
    high_secs: float | None
    before_secs: float | None
    outputs_equal: bool | None
    throughput_per_second: float | None
    dollars_per_million: float | None
    misses: tuple[Miss, ...]
    is_chosen: bool = False


@dataclass(frozen=True)
class EngineResult:
    """The median latency of a model on a device in an engine, with an interval of 95 %; None with the reason why.

    is_fastest: of those whose outputs are right.
    """

    model: str
    device: str
    engine: str
    secs: float | None
    low_secs: float | None
    high_secs: float | None
    p99_secs: float | None
    reason: str | None
    is_fastest: bool


class PackageState(StrEnum):
    """The state of a package."""

    QUEUED = "queued"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"

    @property
    def is_pending(self) -> bool:
        """Whether the package waits or is built."""
        return self in (PackageState.QUEUED, PackageState.BUILDING)


@dataclass(frozen=True)
class PackageDocument:
    """A package of a job's model on a device: `wheel`, `archive` or `server`.

    model: its name in the job; file: its name among the job's downloads once it is ready; reason: why it failed.
    """

    id: str
    job: str
    model: str
    device: str
    form: str
    state: PackageState
    created: str
    file: str | None
    bytes: int | None
    reason: str | None


@dataclass(frozen=True)
class ResultDocument:
    """The results of a job: its verdicts, engines that it was compared with, failed trials by kind, warnings, the names
    of files to download, and the packages that were ordered."""

    job: JobDocument
    verdicts: tuple[OfferVerdict, ...]
    failures: Mapping[str, int]
    warnings: tuple[str, ...]
    downloads: tuple[str, ...]
    engines: tuple[EngineResult, ...] = ()
    packages: tuple[PackageDocument, ...] = ()


@dataclass(frozen=True)
class HistoryEntry:
    """A result of a model in its history.

    is_regression: whether its whole interval is above that of the fastest earlier result on the same device;
    slowdown: its latency relative to that one's, None for the first.
    """

    job: str
    model: str
    sha256: str
    device: str
    finished: str
    secs: float
    low_secs: float
    high_secs: float
    trials: int
    slowdown: float | None
    is_regression: bool
