"""Adaptation of a cost model to a new device with a few records of that device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold

from cost_models.boosters.validity_model import ValidityModel
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.metrics import pairwise_accuracy
from cost_models.program_model import program_model
from cost_models.record_table import RecordTable
from cost_models.training import card

#: Fewer tasks cannot stand for those to come: then rows are held out instead.
_LEAST_TASKS: Final = 4
_FOLDS: Final = 4
#: A correction has half as many trees as a model from nothing. From AVX-512 to another machine's AVX2, fewer and
#: flatter ones ordered pairs as well and found worse configs.
_CORRECTION: Final = {"num_boost_round": 100, "max_depth": 6, "learning_rate": 0.08, "min_child_weight": 4.0}


class AdaptationStrategy(StrEnum):
    """The strategy of adapting a source model to a device.

    SOURCE:       the source model, unchanged.
    CORRECTED:    the source model with further trees, trained on the device's records.
    FROM_SCRATCH: a model trained on the device's records alone.
    """

    SOURCE = "source"
    CORRECTED = "corrected"
    FROM_SCRATCH = "cold"


_MODELS: Final[dict[AdaptationStrategy, Callable[[XGBoostCostModel, RecordTable, int], XGBoostCostModel]]] = {
    AdaptationStrategy.SOURCE: lambda source, table, seed: source,
    AdaptationStrategy.CORRECTED: lambda source, table, seed: corrected(source, table, seed),
    AdaptationStrategy.FROM_SCRATCH: lambda source, table, seed: program_model(seed).fit(Dataset.of(table)),
}


def adapt(source: XGBoostCostModel, table: RecordTable, seed: int = 0) -> XGBoostCostModel:
    """The best of the three strategies by pairwise accuracy on held-out records of the device.

    table: records of the new device. The card names the strategy and the accuracy of each. With too few records to
    hold any out, the source model is corrected.
    """
    found = compare(source, table, seed)
    strategy = max(found, key=lambda each: found[each]) if found else AdaptationStrategy.CORRECTED
    model = replace(_MODELS[strategy](source, table, seed))
    model.validity = ValidityModel(seed=seed).fit(table.features, table.valid)
    if model.validity.to_bytes() is None:
        model.validity = source.validity
    known = card(table, {})
    model.card = {
        **known,
        "task_keys": sorted({*known["task_keys"], *source.card.get("task_keys", [])}),
        "adapted": {
            "way": strategy.value,
            "held_out_pairwise": {each.value: accuracy for each, accuracy in found.items()},
            "source": {
                name: source.card.get(name) for name in ("measured_on", "records", "tasks", "logs", "date")
            },
        },
    }
    return model


def corrected(source: XGBoostCostModel, table: RecordTable, seed: int) -> XGBoostCostModel:
    """The source model with further trees from the table."""
    model = XGBoostCostModel(seed=seed, objective=source.objective, colsample_bytree=0.5, **_CORRECTION)  # type: ignore[arg-type]
    return model.fit_on(source, Dataset.of(table))


def compare(source: XGBoostCostModel, table: RecordTable, seed: int = 0) -> dict[AdaptationStrategy, float]:
    """Pairwise accuracy of each strategy on rows held out of the table; empty where none can be held out."""
    tasks = table.tasks
    many = len(np.unique(tasks)) >= _LEAST_TASKS
    if len(table) < 2 * _FOLDS:
        return {}
    splitter = GroupKFold(_FOLDS) if many else KFold(_FOLDS, shuffle=True, random_state=seed)
    predicted: dict[AdaptationStrategy, NDArray[np.float64]] = {
        each: np.zeros(len(table)) for each in AdaptationStrategy
    }
    scores = table.scores
    folds = np.zeros(len(table), dtype=np.int64)
    for number, (train, test) in enumerate(splitter.split(table.features, groups=tasks if many else None)):
        folds[test] = number
        for strategy in AdaptationStrategy:
            model = _MODELS[strategy](source, table.rows(train), seed)
            predicted[strategy][test] = model.predict(table.features[test])
    # Predictions of different folds come from different models: they compare within a fold only.
    same = table.groups * _FOLDS + folds
    found = {each: pairwise_accuracy(scores, values, same) for each, values in predicted.items()}
    return {each: accuracy for each, accuracy in found.items() if np.isfinite(accuracy)}
