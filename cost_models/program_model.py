"""Cost models over program features, which transfer between tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from cost_models.boosters.xgboost_cost_model import Loss, XGBoostCostModel
from cost_models.features.program_features import COLUMNS, FEATURE_VERSION
from search_spaces.errors import Misuse
from search_spaces.target import Target

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class _Device(msgspec.Struct, frozen=True):
    name: str
    facts: dict[str, str | int | float | bool | None]


class _HeldOut(msgspec.Struct, frozen=True):
    tasks: _Count
    top1: float
    top5: float
    pairwise: float
    spearman: float
    weighted_top1: float
    weighted_top5: float


class _Metrics(msgspec.Struct, frozen=True):
    held_out_tasks: _HeldOut | None = None


class _Adaptation(msgspec.Struct, frozen=True):
    way: str
    held_out_pairwise: dict[str, float]


class _Card(msgspec.Struct, frozen=True):
    """The card of a model of this version's features, as far as it is read; see `cost_models.training.card`."""

    devices: list[_Device]
    measured_on: list[str]
    targets: list[str]
    networks: list[str]
    logs: dict[str, str]
    records: _Count
    tasks: _Count
    metrics: _Metrics
    versions: dict[str, str]
    date: str
    task_keys: list[str] = []
    adapted: _Adaptation | None = None


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
    check_card(model.card, path)
    return model


def check_card(card: Mapping[str, Any], path: Path) -> None:
    """Raises Misuse unless the card of a model of this version's features says all that is read in it."""
    try:
        for target in msgspec.convert(card, _Card).targets:
            Target.parse(target)
    except (msgspec.ValidationError, Misuse) as error:
        raise Misuse(
            f"expected a cost model in {path} that autotune cost-model train wrote, found in its card: {error}; "
            "train or copy it again",
            code="AT302",
        ) from error
