"""Models to compare on the same splits: XGBoost's, and scikit-learn's on the same features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cost_models.boosters.xgboost_cost_model import Loss
from cost_models.dataset import Dataset
from cost_models.evaluation.held_out import Learner
from cost_models.program_model import program_model
from cost_models.record_table import RecordTable

Floats = NDArray[np.float64]


def boosted(objective: Loss, seed: int = 0) -> Learner:
    """The model that `train` makes, with one objective or the other."""

    def learn(train: RecordTable, test: RecordTable) -> Floats:
        return program_model(seed, objective).fit(Dataset.of(train)).predict(test.features)

    return learn


def random_baseline(seed: int = 0) -> Learner:
    """Random predictions."""

    def learn(_train: RecordTable, test: RecordTable) -> Floats:
        return np.random.default_rng(seed).random(len(test))

    return learn


def forest(seed: int = 0) -> Learner:
    """scikit-learn's RandomForestRegressor of the root of the score."""
    return _regressor(
        lambda: RandomForestRegressor(100, min_samples_leaf=2, max_features=0.3, random_state=seed)
    )


def ridge() -> Learner:
    """scikit-learn's Ridge of the root of the score, on standardised features."""
    return _regressor(lambda: make_pipeline(StandardScaler(), Ridge(alpha=10.0)))


def baselines(seed: int = 0) -> Mapping[str, Learner]:
    """By the names that tables show."""
    return {
        "XGBoost, regression": boosted(Loss.REGRESSION, seed),
        "XGBoost, ranking": boosted(Loss.RANKING, seed),
        "random forest": forest(seed),
        "ridge": ridge(),
        "chance": random_baseline(seed),
    }


def _regressor(make: Callable[[], Any]) -> Learner:
    def learn(train: RecordTable, test: RecordTable) -> Floats:
        model = make_pipeline(
            SimpleImputer(strategy="constant", fill_value=-1.0, keep_empty_features=True), make()
        )
        model.fit(train.features, np.sqrt(train.scores))
        return np.asarray(model.predict(test.features), dtype=np.float64)

    return learn
