"""Estimates of a tuned task's latency, learned from the latencies that tuning reached on other tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from cost_models.boosters.booster import Booster, BoosterSettings, TrainingRows
from cost_models.boosters.model_file import read_model_file, write_model_file
from cost_models.features.program_features import COLUMNS, FEATURE_VERSION
from cost_models.record_table import RecordTable
from search_spaces.errors import Misuse

Floats = NDArray[np.float64]

_FLOPS, _BYTES = COLUMNS.index("flops"), COLUMNS.index("operator_bytes")
#: Configs at least so fast, relative to the best of their task, are the training data.
_FAST: Final = 0.8
#: A roofline to start from, as log2: 2^36.5 operations and 2^33 bytes a second, and 2^-18 s to start a kernel.
_ROOFLINE: Final = (36.5, 33.0, -18.0)
_TREES: Final[dict[str, Any]] = {
    "objective": "reg:absoluteerror",
    "max_depth": 4,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 0.05,
    "tree_method": "hist",
}
_ROUNDS: Final = 200
#: With fewer networks than these, tasks are held out instead of networks.
_LEAST_NETWORKS: Final = 3
_LEAST_TASKS: Final = 10
_NEAR: Final = 1 / 8
_KIND: Final = "latency-estimator"
_TREES_PART: Final = "correction"
_Finite = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_Errors = Annotated[list[_Finite], msgspec.Meta(min_length=1, max_length=1 << 20)]


class _Fitted(msgspec.Struct, frozen=True):
    """The part of a card that an estimator consists of, beside its trees."""

    feature_version: int
    columns: int
    roofline: tuple[_Finite, _Finite, _Finite]
    bias: _Finite
    errors: Annotated[dict[str, _Errors], msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True, eq=False)
class LatencyEstimator:
    """Seconds of fast configs from their features: a roofline with rounded corners, corrected by boosted trees.

    roofline: log2 of operations and of bytes a second, and of the seconds that starting takes; fitted to the log.
    bias:     median of log2 (estimated / reached) over the held-out tasks, subtracted from every estimate;
    errors:   log2 (estimated / reached) without the bias for the tasks of each network that was held out, by the
              network's name; from the task with the smallest estimate to that with the largest.
    """

    roofline: Floats
    trees: Booster
    bias: float
    errors: dict[str, Floats]
    card: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(cls, table: RecordTable, seed: int = 0) -> Self:
        """Fits to all tasks, and finds the errors for networks by leaving each out once.

        Where there are fewer than three networks, a fifth of the tasks is left out at a time. Raises Misuse where there
        are fewer than ten tasks of which anything ran.
        """
        from sklearn.model_selection import GroupKFold, LeaveOneGroupOut  # as SciPy below

        scores = table.scores
        best = _best_rows(table.secs, table.groups)
        if len(best) < _LEAST_TASKS:
            raise Misuse(
                f"expected records of at least {_LEAST_TASKS} tasks that ran, found {len(best)}", code="AT304"
            )
        fast = np.flatnonzero(scores >= _FAST)
        # What several networks have in common counts as the first one's.
        names = np.array([table.facts[group].networks[0] for group in table.groups])
        distinct = sorted(set(names[best].tolist()))
        by_network = len(distinct) >= _LEAST_NETWORKS
        held_out = LeaveOneGroupOut() if by_network else GroupKFold(5)
        labels = names[best] if by_network else table.tasks[best]
        errors: dict[str, list[Floats]] = {}
        estimates: dict[str, list[Floats]] = {}
        for train, test in held_out.split(best, groups=labels):
            known = set(table.groups[best[train]].tolist())
            rows = fast[[group in known for group in table.groups[fast].tolist()]]
            part = _fit(table, best[train], rows, seed)
            estimated = _predict(*part, table.features[best[test]])
            for name in set(names[best[test]].tolist()):
                own = names[best[test]] == name
                estimates.setdefault(name, []).append(estimated[own])
                errors.setdefault(name, []).append((estimated - np.log2(table.secs[best[test]]))[own])
        joined = {
            name: np.concatenate(parts)[np.argsort(np.concatenate(estimates[name]), kind="stable")]
            for name, parts in sorted(errors.items())
        }
        # What is fast is not yet the best: estimates are moved so that as many are too low as too high.
        bias = float(np.median(np.concatenate(list(joined.values()))))
        centred = {name: found - bias for name, found in joined.items()}
        return cls(*_fit(table, best, fast, seed), bias, centred)

    def save(self, path: Path, card: Mapping[str, Any]) -> None:
        """Writes the estimator with a card into a file, see `cost_models.boosters.model_file`."""
        fitted = _Fitted(
            FEATURE_VERSION,
            len(COLUMNS),
            tuple(self.roofline.tolist()),
            self.bias,
            {name: found.tolist() for name, found in self.errors.items()},
        )
        contents = {**card, **msgspec.to_builtins(fitted), "kind": _KIND}
        write_model_file(path, contents, {_TREES_PART: self.trees.to_bytes()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a saved estimator; nothing in the file is executed.

        Raises Misuse where it is no whole one, or one for other features.
        """
        card, parts = read_model_file(path, _KIND)
        try:
            fitted = msgspec.convert(card, _Fitted)
            trees = Booster.from_bytes(parts[_TREES_PART], card)
        except (ValueError, KeyError, msgspec.ValidationError) as error:
            raise Misuse(
                f"expected a latency estimator in {path} that this package fitted, found: {error}",
                code="AT302",
            ) from error
        if (fitted.feature_version, fitted.columns) != (FEATURE_VERSION, len(COLUMNS)):
            raise Misuse(
                f"expected a latency estimator of feature version {FEATURE_VERSION} in {path}, found version "
                f"{fitted.feature_version}",
                code="AT303",
            )
        errors = {name: np.array(found) for name, found in fitted.errors.items()}
        return cls(np.array(fitted.roofline), trees, fitted.bias, errors, card)

    def predict(self, features: NDArray[np.float32]) -> Floats:
        """(n,) seconds of fast configs with these (n, d) features."""
        return np.exp2(_predict(self.roofline, self.trees, features) - self.bias)

    def interval(
        self, secs: Floats, calls: Floats, level: float, rng: np.random.Generator
    ) -> tuple[float, float]:
        """The interval of the sum of calls × secs over tasks with probability `level`, by resampling held-out errors.

        Errors are correlated within a network, and differ between large and small tasks: each of 2,000 draws takes a
        network, and for each task one of its errors of the same rank, plus or minus an eighth.
        """
        networks = list(self.errors.values())
        ranks = np.argsort(np.argsort(secs)) / max(1, len(secs) - 1)
        totals = np.empty(2000)
        for draw in range(len(totals)):
            errors = networks[int(rng.integers(len(networks)))]
            near = np.clip(ranks + rng.uniform(-_NEAR, _NEAR, len(secs)), 0, 1)
            totals[draw] = (
                calls * secs * np.exp2(-errors[np.rint(near * (len(errors) - 1)).astype(int)])
            ).sum()
        low, high = np.quantile(totals, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def factors(self, level: float) -> tuple[float, float]:
        """Factors from a task's estimate to the ends of its interval: conformal over all held-out tasks."""
        off = np.concatenate(list(self.errors.values()))
        rank = min(1.0, np.ceil((len(off) + 1) * level) / len(off))
        low, high = (1 - rank) / 2, (1 + rank) / 2
        return float(np.exp2(-np.quantile(off, high))), float(np.exp2(-np.quantile(off, low)))

    @property
    def median_error(self) -> float:
        """The median error of held-out tasks as a factor: 1.5 is 3/2 or 2/3 of the reached latency."""
        return float(np.exp2(np.median(np.abs(np.concatenate(list(self.errors.values()))))))


def _best_rows(secs: Floats, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fastest row of each group in which a config ran."""
    order = np.lexsort((secs, groups))
    firsts = order[np.unique(groups[order], return_index=True)[1]]
    return firsts[np.isfinite(secs[firsts])]


def _fit(
    table: RecordTable, best: NDArray[np.int64], rows: NDArray[np.int64], seed: int
) -> tuple[Floats, Booster]:
    """The roofline of the best configs, and trees fitted to the residuals of the fast ones; tasks have equal weight."""
    from scipy.optimize import minimize  # takes a second to load, and a saved estimator needs none

    wanted = np.log2(table.secs[best])

    def miss(corners: Floats) -> float:
        return float(np.abs(_bound(corners, table.features[best]) - wanted).mean())

    roofline = np.asarray(minimize(miss, _ROOFLINE, method="Nelder-Mead").x)
    _, places, counts = np.unique(table.groups[rows], return_inverse=True, return_counts=True)
    features = table.features[rows]
    residuals = np.log2(table.secs[rows]) - _bound(roofline, features)
    data = TrainingRows(features, residuals, weights=1.0 / counts[places])
    return roofline, Booster.train(data, BoosterSettings({**_TREES, "seed": seed}, _ROUNDS), card={})


def _predict(roofline: Floats, trees: Booster, features: NDArray[np.float32]) -> Floats:
    return _bound(roofline, features) + trees.predict(features)


def _bound(corners: Floats, features: NDArray[np.float32]) -> Floats:
    """log2 seconds: computing, moving and starting one after the other, so that corners are round."""
    flops, moved = (np.nan_to_num(features[:, column].astype(np.float64)) for column in (_FLOPS, _BYTES))
    return np.asarray(
        np.log2(np.exp2(flops - corners[0]) + np.exp2(moved - corners[1]) + np.exp2(corners[2]))
    )
