"""The documents of the service: page, REST, client and commands show these same values as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

#: Of requests: a misspelt field is an error, and not left out of account.
FORBID_UNKNOWN: Final = {"extra": "forbid"}


class ModelState(StrEnum):
    """The state of an uploaded model."""

    EXAMINING = "examining"
    READY = "ready"
    REFUSED = "refused"


class QueueState(StrEnum):
    """The state of a job in the service."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the job neither runs nor waits."""
        return self not in (QueueState.QUEUED, QueueState.RUNNING)


@dataclass(frozen=True)
class OperatorCount:
    """An operator of a model's file, and how many nodes have it."""

    name: str
    count: int


@dataclass(frozen=True)
class UnsupportedOperator:
    """An operator that cannot be imported, and the first nodes that have it."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """An error by its code: why a model is refused, or a device has no estimate."""

    code: str
    message: str


@dataclass(frozen=True)
class InputDocument:
    """An input of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class LatencyForecast:
    """The latency on a device that tuning is expected to reach, with an interval of 90 %; None with the reason why."""

    device: str
    secs: float | None = None
    low_secs: float | None = None
    high_secs: float | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Examination:
    """The first answer to an upload, before anything is queued.

    operators: of the file; unsupported: those of them that cannot be imported; tasks: operators to tune, after fusion;
    refusal: why the model cannot be tuned; notices: decisions for the user, as a batch size that was taken as 1;
    secs: that the answer took; is_complete: whether no more is to come.
    """

    operators: tuple[OperatorCount, ...] = ()
    unsupported: tuple[UnsupportedOperator, ...] = ()
    inputs: tuple[InputDocument, ...] = ()
    tasks: int | None = None
    forecasts: tuple[LatencyForecast, ...] = ()
    notices: tuple[str, ...] = ()
    refusal: Refusal | None = None
    secs: float = 0.0
    is_complete: bool = False


@dataclass(frozen=True)
class ModelDocument:
    """An uploaded model; name: of the user's file."""

    id: str
    name: str
    bytes: int
    sha256: str
    created: str
    state: ModelState
    examination: Examination


@dataclass(frozen=True)
class UploadDocument:
    """An upload; offset: bytes that are stored; model: the id of the model that it became, None before its end."""

    id: str
    name: str
    bytes: int
    offset: int
    model: str | None


@dataclass(frozen=True)
class Needs:
    """Limits that a model is to hold, each None where any will do."""

    __pydantic_config__ = FORBID_UNKNOWN

    latency_ms: float | None = None
    throughput_per_second: float | None = None
    dollars_per_million: float | None = None


@dataclass(frozen=True)
class ModelOrder:
    """A model to tune: its id; sizes of inputs and free dimensions, numbers or ranges as in a job file; its needs."""

    __pydantic_config__ = FORBID_UNKNOWN

    model: str
    shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    dims: Mapping[str, int | str] = field(default_factory=dict)
    priority: float = 1.0
    needs: Needs = Needs()


@dataclass(frozen=True)
class JobOrder:
    """An order of a job: models, devices by name, and a budget of which the first limit that is reached ends the job.

    time: of running, as in 30m or 8h; queueing does not count; engines: beside which the tuned models are measured at
    the end, as onnxruntime.
    """

    __pydantic_config__ = FORBID_UNKNOWN

    models: tuple[ModelOrder, ...]
    devices: tuple[str, ...] = ("local",)
    time: str | None = None
    trials: int | None = None
    gain_per_hour: float | None = None
    seed: int = 0
    name: str | None = None
    engines: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobDocument:
    """A job in the service.

    position: in the queue, 1 for the next, None once it has run; expected_start: of a queued job, None where the jobs
    before it have no limit of time; run_secs: that it has run, without queueing; eta_secs: more that it is expected to;
    activity: of its engine; reason: why it failed.
    """

    id: str
    name: str
    state: QueueState
    order: JobOrder
    created: str
    started: str | None
    finished: str | None
    position: int | None
    expected_start: str | None
    is_cancelled: bool
    run_secs: float
    trials: int
    eta_secs: float | None
    activity: str
    reason: str | None


@dataclass(frozen=True)
class JobPage:
    """Jobs, the newest first; next: the argument `before` of the page that follows, None at the end."""

    jobs: tuple[JobDocument, ...]
    next: int | None


@dataclass(frozen=True)
class DeviceDocument:
    """A device that jobs can name."""

    name: str
    connection: str
    price_per_hour: float | None
    target: str | None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Problem:
    """Details of an error as RFC 9457 has them, with the code that `autotune explain` knows."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def utc_text(secs: float) -> str:
    """A UNIX time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(secs, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def utc_text_or_none(secs: float | None) -> str | None:
    """A UNIX time as ISO 8601 in UTC; None for None."""
    return None if secs is None else utc_text(secs)
