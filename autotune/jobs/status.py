"""The status of a job as other programs and its next run read it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from autotune.devices.machine_state import MachineState
from autotune.devices.roofline import Roofline

#: Version of the file; from 2 on, paths lead from the folder that the file is in.
SCHEMA = 2


class JobState(StrEnum):
    """The state of a job, or how a run of it ended."""

    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


#: Seconds that something took: never none, so that ratios of them exist.
MeasuredSecs = Annotated[float, msgspec.Meta(gt=0)]


class Latency(msgspec.Struct, frozen=True):
    """A built model's measured latency in seconds: the median of its runs, and a 95 % interval of it."""

    secs: MeasuredSecs
    low_secs: MeasuredSecs
    high_secs: MeasuredSecs
    run_secs: tuple[MeasuredSecs, ...]


class Operator(msgspec.Struct, frozen=True):
    """The schedule that a build uses for one operator; see `CoverageRow`."""

    name: str
    key: str | None
    calls: int
    status: str
    reason: str
    default_secs: float | None
    tuned_secs: float | None
    share: float | None


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one device.

    estimated_start_secs, estimated_secs: the sums of its tasks' latencies, untuned and now;
    before, after: what builds took when they were run in turns, with the log as it was when the job began, and as it
                   is now; before_secs: what building the first of them took, first_secs: one of its runs;
    library:       the faster of the two builds;
    outputs_equal: whether both compute the same;
    needed_secs:   the latency that is asked for, None where any will do;
    operators:     what the library uses for each operator, before_operators: what the first of the two builds does;
    calls:         of each task in one run, by its key.
    """

    name: str
    device: str
    priority: float = 1.0
    path: str | None = None
    estimated_start_secs: float | None = None
    estimated_secs: float | None = None
    before_secs: float | None = None
    first_secs: float | None = None
    before: Latency | None = None
    after: Latency | None = None
    outputs_equal: bool | None = None
    library: str | None = None
    needed_secs: float | None = None
    operators: tuple[Operator, ...] = ()
    before_operators: tuple[Operator, ...] = ()
    calls: dict[str, int] = {}

    @property
    def fastest(self) -> Latency | None:
        """The latency of the faster of the two builds; None where neither was measured."""
        measured = [one for one in (self.after, self.before) if one is not None]
        return min(measured, key=lambda one: one.secs, default=None)


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One task on one device: calls in one run of all models, trials, latencies in seconds, what is going on.

    improvements: the trials that were faster than the baseline and all before them;
    moved_bytes: the size of its inputs and outputs, None where it is not known (yet).
    """

    name: str
    key: str
    device: str
    calls: int
    flops: float
    moved_bytes: int | None = None
    trials: int = 0
    improvements: int = 0
    default_secs: float | None = None
    best_secs: float | None = None
    winner_p_value: float | None = None
    state: str = "waiting"


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One device: its trials, speed and price (in the user's currency).

    quarantine: why it is left alone for now or was given up, None while it works.
    """

    name: str
    connection: str
    target: str
    fingerprint: str
    threads: int
    facts: dict[str, str | int | float | bool | None]
    trials: int = 0
    slowdown: float = 1.0
    warning: str | None = None
    roofline: Roofline | None = None
    quarantine: str | None = None
    price_per_hour: float | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of a model on a device, and its cost.

    secs:              of one inference: the library's measured latency, or else the sum of its tasks;
    price_per_million: of so many inferences, one after the other; None where the latency is not known;
    is_enough:         whether it is as fast as needed, by the upper end of its interval; None where nobody can say;
    is_chosen:         whether it is the cheapest of its model's that are.
    """

    model: str
    device: str
    connection: str
    secs: float | None
    is_measured: bool
    price_per_hour: float | None
    price_per_million: float | None
    needed_secs: float | None
    is_enough: bool | None
    is_chosen: bool = False


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One start of the job: how long it took and how it ended."""

    started: str
    secs: float
    pid: int
    state: JobState


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the job; see `Budget`."""

    trials: int | None
    secs: float | None
    gain_per_hour: float | None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a job; times are UTC in ISO 8601.

    run_prefix: how the ids of all its runs begin in the log; `family` in the file, as in every version;
    secs:      what all its runs have taken together; eta_secs: how much more is expected, None where unknown;
    failures:  trials that failed, by kind, in all its runs; crashes: those that took their process along;
    machine:   looks at the machine over time, the latest last.
    """

    schema: int = SCHEMA
    name: str
    run_prefix: str = msgspec.field(name="family")
    state: JobState
    activity: str
    log: str
    updated: str
    secs: float
    eta_secs: float | None
    budget: BudgetStatus
    trials: int
    expected_gain_per_hour: float | None
    runs: tuple[RunStatus, ...]
    models: tuple[ModelStatus, ...]
    devices: tuple[DeviceStatus, ...]
    offers: tuple[Offer, ...] = ()
    tasks: tuple[TaskStatus, ...]
    failures: dict[str, int]
    crashes: int = 0
    machine: tuple[MachineState, ...] = ()
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = {}
