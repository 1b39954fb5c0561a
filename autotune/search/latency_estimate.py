"""Estimates of a tuned model's latency without measuring, from a cost model and from the latencies in logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from autotune.search.observations import Observations
from autotune.search.pretrained_prior import PretrainedPrior
from autotune.search.proposer import ConfigProposer
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.cost_model import CostModel
from cost_models.record_table import RecordTable
from search_spaces import Config, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint

#: Configs ranked highest by the cost model; the median of their estimates is the task's.
_PICKS = 8
_HEURISTIC_SAMPLES = 200
#: Of the samples and the intervals: the same estimate for the same task.
_SEED = 0
LEVEL = 0.9
_ALIKE = ("isa", "threads")


class Estimated(msgspec.Struct, frozen=True):
    """Seconds of one call, with the interval that holds nine out of ten."""

    name: str
    calls: int
    secs: float
    low_secs: float
    high_secs: float


class ModelEstimate(msgspec.Struct, frozen=True):
    """tasks: in the model's order; total: the sum over all calls; error: of tasks of networks that were held out."""

    tasks: list[Estimated]
    total: Estimated
    error: float


def estimate_model(
    name: str,
    tasks: Sequence[TuningTask],
    device: DeviceFingerprint,
    model: CostModel,
    estimator: LatencyEstimator,
) -> ModelEstimate:
    """Estimates every task by the configs that the cost model would try first (about 0.5 s a task)."""
    rng = np.random.default_rng(_SEED)
    low, high = estimator.factors(LEVEL)
    found = []
    for task in tasks:
        space = TensorIRSpace(task)
        prior = PretrainedPrior(space, device, model)
        secs = float(np.median(estimator.predict(prior.features(picks(space, prior, rng)))))
        found.append(Estimated(task.name, task.weight, secs, low * secs, high * secs))
    all_secs = np.array([one.secs for one in found])
    calls = np.array([float(one.calls) for one in found])
    ends = estimator.interval(all_secs, calls, LEVEL, rng)
    total = Estimated(name, 1, float((all_secs * calls).sum()), *ends)
    return ModelEstimate(found, total, estimator.median_error)


def are_alike(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether devices with these facts have the same architecture and as many threads."""
    return all(some.get(fact) == others.get(fact) for fact in _ALIKE)


def of_like_devices(table: RecordTable, device: DeviceFingerprint) -> RecordTable:
    """The rows from devices of the same architecture with as many threads."""
    alike = [are_alike(fact.device.facts, device.facts) for fact in table.facts]
    return table.rows(np.array(alike, dtype=np.bool_)[table.groups])


def picks(space: TensorIRSpace, prior: PretrainedPrior, rng: np.random.Generator) -> list[Config]:
    """The configs that a search with this prior would start with; the untuned program where there are no others."""
    observations = Observations(
        pending=(space.default,), initial_configs=tuple(space.heuristic_samples(_HEURISTIC_SAMPLES, rng))
    )
    return ConfigProposer(prior=prior).propose(space.answer, observations, _PICKS, rng) or [space.default]
