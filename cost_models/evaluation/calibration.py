"""Calibration of a validity classifier: of configs with predicted probability 0.8, four of five should run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

_BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """brier: mean squared error of the probabilities, 0 is perfect. chance_brier: that of predicting the base rate.

    reliability: (predicted, observed) for each tenth of the probabilities that occurs.
    """

    rows: int
    valid: float
    brier: float
    chance_brier: float
    reliability: tuple[tuple[float, float], ...]


def calibration(probabilities: NDArray[np.float64], valid: NDArray[np.bool_]) -> Calibration:
    """The calibration of (n,) probabilities, given (n,) outcomes."""
    share = float(valid.mean())
    if 0 < share < 1:
        found, said = calibration_curve(valid, np.clip(probabilities, 0, 1), n_bins=_BINS)
    else:
        found, said = np.array([share]), np.array([float(probabilities.mean())])
    return Calibration(
        len(valid),
        share,
        float(((probabilities - valid) ** 2).mean()),
        share * (1 - share),
        tuple((float(one), float(other)) for one, other in zip(said, found, strict=True)),
    )
