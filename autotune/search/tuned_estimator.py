"""The estimator of tuned latencies on one device: its cost model and the records that it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autotune.devices.device import Device
from autotune.search.latency_estimate import ModelEstimate, estimate_model, of_like_devices
from autotune.search.pretrained_model import SHIPPED, PretrainedModel, load_pretrained
from cost_models.boosters.latency_estimator import LatencyEstimator
from cost_models.record_table import RecordTable
from search_spaces import Misuse, TuningTask


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
    device: Device, cost_model: Path | None = None, logs: Sequence[str] | None = None
) -> TunedEstimator:
    """Reads the cost model for a device, and fits the estimator to the records of logs.

    cost_model: by default the one that ships; logs: by default those that the shipped model learned from.
    Raises Misuse where no model fits, and where the logs hold no records of a device like it.
    """
    pretrained = load_pretrained(cost_model or SHIPPED, device)
    if pretrained is None:
        raise Misuse(
            f"no cost model ships for devices like {device.name}; name one with --cost-model", code="AT307"
        )
    named = logs or ([] if cost_model else shipped_logs(pretrained.name))
    if not named:
        raise Misuse(
            "expected --log, the logs that the cost model learned from, say; found none", code="AT304"
        )
    learned = of_like_devices(RecordTable.read(named), device.fingerprint)
    if not len(learned):
        raise Misuse(
            f"expected records of a device like {device.name} with {device.threads} threads in {', '.join(named)}, "
            "found none: how fast another device is cannot be told from them",
            code="AT307",
        )
    return TunedEstimator(device, pretrained, LatencyEstimator.fit(learned))


def shipped_logs(name: str) -> list[str]:
    """The paths of the logs that a shipped model was trained on."""
    return [str(path) for path in sorted((SHIPPED / name).glob("*.jsonl.gz"))]
