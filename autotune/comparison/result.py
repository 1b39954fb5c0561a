"""A comparison of engines as frozen values: what was measured of each model, device and engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

Secs = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Percentile(msgspec.Struct, frozen=True):
    """A percentile of latencies in seconds, and its 95 % interval.

    high_secs: None where the runs are too few to see how slow it may be.
    """

    secs: Secs
    low_secs: Secs
    high_secs: Secs | None


class Measured(msgspec.Struct, frozen=True):
    """The measurements of one engine.

    run_secs:          latencies of single runs, one after the other, in their order; mean_secs: their mean;
    load_secs:         of importing the engine and opening the model, None on a board;
    peak_memory_bytes: high-water mark of resident memory of the engine's process, base_memory_bytes: its memory before
                       the engine was loaded; None on a board;
    size_bytes:        of the built library, or of the model's file with its external data;
    max_abs_error, max_rel_error: the largest deviations from the reference's outputs; None where they were not
                       compared, or are infinite.
    """

    run_secs: Annotated[tuple[Secs, ...], msgspec.Meta(min_length=1)]
    mean_secs: Secs
    p50: Percentile
    p90: Percentile
    p99: Percentile
    load_secs: Secs | None
    peak_memory_bytes: Count | None
    base_memory_bytes: Count | None
    size_bytes: Count
    max_abs_error: float | None = None
    max_rel_error: float | None = None

    @property
    def throughput_per_second(self) -> float:
        """Runs per second of one instance, one after the other."""
        return 1.0 / self.mean_secs


class BuildSummary(msgspec.Struct, frozen=True):
    """A build by this package. tuned_share: of the expected time, in operators with a record of their own."""

    build_secs: float
    tuned_share: float


class Row(msgspec.Struct, frozen=True):
    """One engine with one model on one device.

    reason:     why nothing was measured, in a sentence; code: of the error, where it has one;
    mistake:    what is wrong with the outputs, None where they are right or were not compared;
    is_checked: whether they were compared with those of the model's reference.
    """

    model: str
    device: str
    engine: str
    measured: Measured | None = None
    reason: str | None = None
    code: str | None = None
    mistake: str | None = None
    is_checked: bool = False
    build: BuildSummary | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the engine ran the model, and its outputs are not known to be wrong."""
        return self.measured is not None and self.mistake is None


class ComparedModel(msgspec.Struct, frozen=True):
    """A model that was compared. inputs: shapes by name; notices: what was decided for the user, or not compared."""

    name: str
    file: str
    inputs: dict[str, tuple[int, ...]]
    notices: tuple[str, ...] = ()


class ComparedDevice(msgspec.Struct, frozen=True):
    """A device that was measured on. facts: of its fingerprint; price_per_hour: None where it is not known."""

    name: str
    connection: str
    target: str
    threads: int
    facts: dict[str, str | int | float | bool | None]
    price_per_hour: float | None = None


class Comparison(msgspec.Struct, frozen=True):
    """Engines side by side, each in a process of its own; date: of the end, in UTC (ISO 8601).

    There is one row for each model, device and engine, in this order.
    """

    date: str
    models: tuple[ComparedModel, ...]
    devices: tuple[ComparedDevice, ...]
    rows: tuple[Row, ...]
    log: str | None = None
    schema: Literal[1] = 1

    @property
    def prices(self) -> Mapping[str, float]:
        """Known prices per hour by device."""
        return {one.name: one.price_per_hour for one in self.devices if one.price_per_hour is not None}
