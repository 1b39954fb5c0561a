"""Training of a cost model on logs: fitted to all records, evaluated on held-out tasks."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import Loss, XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.baselines import boosted
from cost_models.evaluation.calibration import calibration
from cost_models.evaluation.held_out import HeldOut, held_out_scores, quality, splits
from cost_models.features.program_features import FEATURE_VERSION
from cost_models.program_model import program_model
from cost_models.record_table import RecordTable, device_text

_PACKAGES = ("autotune", "xgboost", "apache-tvm", "numpy", "scikit-learn")


def train(table: RecordTable, seed: int = 0) -> XGBoostCostModel:
    """Fits speed and validity to all rows; the card holds the metrics of the same settings on held-out tasks.

    Metrics are left out where there are too few tasks to hold any out.
    """
    model = program_model(seed).fit(Dataset.of(table))
    model.validity = ValidityModel(seed=seed).fit(table.features, table.valid)
    model.card = card(table, held_out_metrics(table, seed))
    return model


def held_out_metrics(table: RecordTable, seed: int) -> dict[str, Any]:
    """Quality on held-out tasks and calibration of the validity classifier there; empty with too few tasks."""
    if len(set(table.tasks.tolist())) < 2:
        return {}
    scores = held_out_scores(table, HeldOut.TASKS, boosted(Loss.REGRESSION, seed))
    if not scores:
        return {}
    probabilities = np.zeros(len(table))
    for _, (known, unseen) in splits(table, HeldOut.TASKS):
        valid = ValidityModel(seed=seed).fit(table.features[known], table.valid[known])
        probabilities[unseen] = valid.predict(table.features[unseen])
    return {**asdict(quality(scores)), "validity": asdict(calibration(probabilities, table.valid))}


def card(table: RecordTable, metrics: dict[str, Any]) -> dict[str, Any]:
    """The card of a model that was trained on a table, as plain JSON values."""
    used = [table.facts[group] for group in np.unique(table.groups)]
    devices = {fact.device.key: {"name": fact.device.name, "facts": dict(fact.device.facts)} for fact in used}
    return {
        "feature_version": FEATURE_VERSION,
        "devices": list(devices.values()),
        "measured_on": sorted({device_text(fact) for fact in used}),
        "targets": sorted({str(fact.task.target) for fact in used}),
        "networks": sorted({name for fact in used for name in fact.networks}),
        "logs": {Path(name).name: digest for name, digest in table.digests},
        "records": len(table),
        "tasks": len({fact.task.key for fact in used}),
        "task_keys": sorted({fact.task.key for fact in used}),
        "metrics": {"held_out_tasks": metrics} if metrics else {},
        "versions": {"python": platform.python_version(), **_versions()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
