"""Accuracy of a cost model on the next trials of a task, by the number of trials before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.metrics import pairwise_accuracy
from cost_models.features.config_features import ConfigFeatures
from cost_models.scores import ranks
from search_spaces import Config, Decision
from search_spaces.decision import Answer
from tuning_logs import Timing, TuningRecord

_NEXT = 32
_LOOKS = 8


def quality_over_trials(records: Sequence[TuningRecord], seed: int = 0) -> list[tuple[int, float]]:
    """(trials, accuracy) pairs for the records of one task in their order: a model is fitted to so many of them, and
    the accuracy is the share of pairs among the next 32 that it orders correctly; 0.5 is chance.

    Empty where there are too few records that ran.
    """
    ran = [one for one in records if isinstance(one.measurement, Timing)]
    if len(ran) < 2 * _NEXT:
        return []
    features = ConfigFeatures(_decisions(ran)).matrix([one.config for one in ran])
    losses = np.array([one.secs for one in ran])
    groups = np.zeros(len(ran), dtype=np.int64)
    found = []
    for count in sorted({int(each) for each in np.geomspace(_NEXT, len(ran) - _NEXT, _LOOKS)}):
        past, future = slice(0, count), slice(count, count + _NEXT)
        model = XGBoostCostModel(seed=seed).fit(Dataset(features[past], ranks(losses[past]), groups[past]))
        predicted = model.predict(features[future])
        accuracy = pairwise_accuracy(-losses[future], predicted, groups[future])
        if np.isfinite(accuracy):
            found.append((count, accuracy))
    return found


def foreseen_rank(records: Sequence[TuningRecord], best: Config, seed: int = 0) -> tuple[int, int] | None:
    """The rank of the best config of one task among it and all that were measured later, by a model that is fitted to
    what was measured before it: (rank, of so many), 1 where the model liked none better.

    None where too few ran before to fit a model.
    """
    ran = [one for one in records if isinstance(one.measurement, Timing)]
    place = next((number for number, one in enumerate(ran) if one.config == best), 0)
    if place < _NEXT:
        return None
    features = ConfigFeatures(_decisions(ran)).matrix([one.config for one in ran])
    losses = np.array([one.secs for one in ran])
    past = slice(0, place)
    groups = np.zeros(place, dtype=np.int64)
    model = XGBoostCostModel(seed=seed).fit(Dataset(features[past], ranks(losses[past]), groups))
    predicted = model.predict(features[place:])
    return 1 + int(np.sum(predicted > predicted[0])), len(predicted)


def _decisions(records: Sequence[TuningRecord]) -> list[Decision]:
    """The decisions that the configs answer, with the answers that occur as choices."""
    answers: dict[str, dict[Answer, None]] = {}
    for record in records:
        for name, answer in record.config.answers:
            answers.setdefault(name, {})[answer] = None
    return [Decision(name, tuple(sorted(found, key=_order))) for name, found in answers.items()]


def _order(answer: Answer) -> tuple[str, str]:
    return type(answer).__name__, str(answer)
