"""Fits the polynomials of erf and tanh of `vector_math` and `register_math`: minimax, by Lawson's weights.

python scripts/fit_vector_math.py
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev, polynomial
from scipy.special import erf, erfc

Array = npt.NDArray[np.float64]

_NODES, _ROUNDS = 4000, 300
STEP, MOST = 0.2578125, 3.97


def fitted(x: Array, y: Array, weight: Array, degree: int) -> tuple[float, Array]:
    """The largest weighted error, and the coefficients of the polynomial, the highest power's first."""
    low, high = float(x.min()), float(x.max())
    basis = chebyshev.chebvander(2 * (x - low) / (high - low) - 1, degree)
    emphasis, least, best = np.ones_like(x), np.inf, np.zeros(degree + 1)
    for _ in range(_ROUNDS):
        scale = np.sqrt(emphasis) * weight
        found = np.linalg.lstsq(basis * scale[:, None], y * scale, rcond=None)[0]
        error = np.abs(basis @ found - y) * weight
        if error.max() < least:
            least, best = float(error.max()), found
        emphasis = np.maximum(emphasis * (error + 1e-14), 1e-9)
        emphasis /= emphasis.mean()
    shift = np.array([-(high + low), 2.0]) / (high - low)
    powers = np.zeros(1)
    for one in chebyshev.cheb2poly(best)[::-1]:
        powers = polynomial.polyadd(polynomial.polymul(powers, shift), [one])
    return least, powers[::-1]


def nodes(low: float, high: float) -> Array:
    """Chebyshev nodes of an interval."""
    angles = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    return low + (high - low) * (np.cos(angles) + 1) / 2


def erf_rows() -> Array:
    """For each multiple of the step, coefficients of erf in the distance to it, the highest first."""
    rows = []
    for center in STEP * np.arange(16):
        x = nodes(max(center - STEP / 2, 1e-6), min(center + STEP / 2, MOST))
        start = float(np.float32(erf(center)))
        _, rest = fitted(x - center, (erf(x) - start) / (x - center), np.abs(x - center) / erf(x), 4)
        rows.append([*rest, start])
    return np.array(rows)


def main() -> None:
    """Prints the coefficients and errors, then the columns of erf's table."""
    small, large, least = nodes(1e-4, 0.921875), nodes(0.921875, 3.95), nodes(1e-4, 0.625)
    fits = {
        "erf(x)/x - 1 in x²": fitted(small**2, erf(small) / small - 1, small / erf(small), 5),
        "-log(erfc(x)) in x": fitted(large, -np.log(erfc(large)), erfc(large), 6),
        "(tanh(x)/x - 1)/x² in x²": fitted(
            least**2, (np.tanh(least) / least - 1) / least**2, least**3 / np.tanh(least), 4
        ),
    }
    for name, (error, coefficients) in fits.items():
        listed = [float(f"{one:.10e}") for one in coefficients]
        sys.stdout.write(f"{name}: error {error:.1e}, {listed}\n")
    for column in erf_rows().T:
        sys.stdout.write(f"{[float(one) for one in column.astype(np.float32)]}\n")


if __name__ == "__main__":
    main()
