"""The estimator of tuned latencies on one device: its cost model and the records that it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotune.devices.device import Device
from autotune.search.latency_estimate import ModelEstimate, are_alike, estimate_model, of_like_devices
from autotune.search.pretrained_model import SHIPPED, PretrainedModel, load_pretrained
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.record_table import RecordTable
from search_spaces import Misuse, TuningTask

#: Of the estimators that ship, each for one kind of device, in the folder of the logs that it was fitted to.
ESTIMATOR_SUFFIX: Final = ".latency"


@dataclass(frozen=True)
class TunedEstimator:
    """A device with its cost model, and an estimator that was fitted to records of devices like it."""

    device: Device
    pretrained: PretrainedModel
    estimator: LatencyEstimator

    def estimate(self, name: str, tasks: Sequence[TuningTask]) -> ModelEstimate:
        """The latency of a model with these tasks once it is tuned; see `estimate_model`."""
        return estimate_model(name, tasks, self.device.fingerprint, self.pretrained.model, self.estimator)


def tuned_estimator(
    device: Device, cost_model: Path | None = None, logs: Sequence[str] = ()
) -> TunedEstimator:
    """The cost model for a device, and an estimator of the latencies that tuning reaches there.

    cost_model: by default the one that ships; logs: that the estimator is fitted to; by default it is the one that
    ships with that model. Raises Misuse where no model fits, and where the records are not of a device like it.
    """
    pretrained = load_pretrained(cost_model or SHIPPED, device)
    if pretrained is None:
        raise Misuse(
            f"no cost model ships for devices like {device.name}; name one with --cost-model", code="AT307"
        )
    if logs:
        learned = of_like_devices(RecordTable.read(logs), device.fingerprint)
        estimator = LatencyEstimator.fit(learned) if len(learned) else None
    elif cost_model:
        raise Misuse(
            "expected --log, the logs that the cost model learned from, say; found none", code="AT304"
        )
    else:
        estimator = _shipped_estimator(pretrained.name, device)
    if estimator is None:
        raise Misuse(
            f"expected records of a device like {device.name} with {device.threads} threads in "
            f"{', '.join(logs) or f'what ships with {pretrained.name}'}, found none: how fast another device is "
            "cannot be told from them",
            code="AT307",
        )
    return TunedEstimator(device, pretrained, estimator)


def _shipped_estimator(name: str, device: Device) -> LatencyEstimator | None:
    """The estimator that was fitted to the logs of a shipped model, for devices like this one."""
    for path in sorted((SHIPPED / name).glob(f"*{ESTIMATOR_SUFFIX}")):
        estimator = LatencyEstimator.load(path)
        if any(are_alike(one["facts"], device.fingerprint.facts) for one in estimator.card["devices"]):
            return estimator
    return None
