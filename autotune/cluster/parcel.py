"""Orders to workers and their reports: plain values that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autotune.builders.artifact import Artifact, Compiled
from autotune.builders.compile_order import CompileOrder
from autotune.measurement.stopwatch import Stopwatch
from autotune.runners.runner import Outcome
from tuning_logs.records.measurement import Failure


@dataclass(frozen=True, slots=True)
class Parcel:
    """An artifact with the bytes of its library, which lies elsewhere."""

    artifact: Artifact
    library: bytes

    @classmethod
    def of(cls, artifact: Artifact) -> Parcel:
        """An artifact of this machine, packed."""
        return cls(artifact, artifact.library.read_bytes() if artifact.library.is_file() else b"")

    def unpacked(self, path: Path) -> Artifact:
        """The artifact with its library at a path, which is written."""
        if self.library:
            path.write_bytes(self.library)
        return replace(self.artifact, library=path)


@dataclass(frozen=True, slots=True)
class MeasureOrder:
    """Artifacts of one task to measure in their order.

    reference: the task's untuned program, measured first where the worker does not have its outputs; None where it has;
    best_secs: the best latency of the task so far; stopwatch: the policy for repeats, None for a search's.
    """

    parcels: tuple[Parcel, ...]
    best_secs: float
    stopwatch: Stopwatch | None
    reference: Parcel | None = None


@dataclass(frozen=True, slots=True)
class MeasureReport:
    """The report on a MeasureOrder.

    fingerprint: the key of the device that measured; reference_secs: the last time of its reference kernel, None where
    none is timed; trouble: why the reference's outputs are not there, None where they are; busy_elsewhere: processors
    that other programs used there when that was last looked at, during an order a few seconds ago at most.
    """

    outcomes: tuple[Outcome, ...]
    fingerprint: str
    reference_secs: float | None
    trouble: str | None = None
    busy_elsewhere: float = 0.0


@dataclass(frozen=True, slots=True)
class SpeedupOrder:
    """A request for the speedup of the reference kernel on the device's threads over one of them."""


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """A candidate to compile within a time limit."""

    order: CompileOrder
    timeout_secs: float


@dataclass(frozen=True, slots=True)
class CompileReport:
    """The report on a CompileRequest: a library with what else compiling gave, or a failure. secs: of compiling."""

    compiled: Compiled | Failure
    library: bytes
    secs: float
