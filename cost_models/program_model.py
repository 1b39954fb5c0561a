"""Cost models over program features, which transfer between tasks."""

from __future__ import annotations

from pathlib import Path

from cost_models.boosters.xgboost_cost_model import Loss, XGBoostCostModel
from cost_models.features.program_features import COLUMNS, FEATURE_VERSION
from search_spaces.errors import Misuse


def program_model(seed: int = 0, objective: Loss = Loss.REGRESSION) -> XGBoostCostModel:
    """An untrained model with the settings that did best on held-out tasks (`benchmarks/model_quality.py`)."""
    return XGBoostCostModel(
        seed=seed,
        num_boost_round=400,
        learning_rate=0.05,
        max_depth=8,
        colsample_bytree=1.0,
        colsample_bynode=0.3,
        min_child_weight=4.0,
        objective=objective,
    )


def load_program_model(path: Path) -> XGBoostCostModel:
    """A model of this version's program features.

    Raises Misuse where the file is no whole model, or its model was trained on other features.
    """
    model = XGBoostCostModel.load(path)
    found = model.card.get("feature_version")
    if found != FEATURE_VERSION or model.card.get("columns") != len(COLUMNS):
        raise Misuse(
            f"expected a cost model of feature version {FEATURE_VERSION} in {path}, found version {found}; "
            f"train it again on its logs with this version: autotune cost-model train",
            code="AT303",
        )
    return model
