"""Verdicts on models: whether a build is faster than before, by how much, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autotune.jobs.status import JobStatus, ModelStatus
from tuning_logs.selection.significance import ratio_interval


class Change(StrEnum):
    """The change of a model's latency; `unclear`: its interval holds 1; `estimated`: not measured as a whole."""

    FASTER = "faster"
    SLOWER = "slower"
    UNCLEAR = "unclear"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """A model on a device before and after: how many times faster, with a 95 % interval where it was measured."""

    name: str
    device: str
    change: Change
    before_secs: float | None
    after_secs: float | None
    factor: float | None
    low: float | None = None
    high: float | None = None
    turns: int = 0
    outputs_equal: bool | None = None


def model_verdicts(status: JobStatus) -> tuple[ModelVerdict, ...]:
    """The verdicts on all models of a job, in its order."""
    return tuple(map(_verdict, status.models))


def _verdict(model: ModelStatus) -> ModelVerdict:
    before, after = model.before, model.after
    if before is None or after is None:
        return _estimate(model)
    if len(before.run_secs) == len(after.run_secs) > 1:
        low, high = ratio_interval(before.run_secs, after.run_secs)
    else:  # runs that did not take turns
        low, high = before.low_secs / after.high_secs, before.high_secs / after.low_secs
    factor = before.secs / after.secs
    change = Change.FASTER if low > 1 else Change.SLOWER if high < 1 else Change.UNCLEAR
    turns, equal = len(after.run_secs), model.outputs_equal
    return ModelVerdict(
        model.name, model.device, change, before.secs, after.secs, factor, low, high, turns, equal
    )


def _estimate(model: ModelStatus) -> ModelVerdict:
    start, now = model.estimated_start_secs, model.estimated_secs
    if not start or not now:
        return ModelVerdict(model.name, model.device, Change.UNKNOWN, start, now, None)
    return ModelVerdict(model.name, model.device, Change.ESTIMATED, start, now, start / now)
