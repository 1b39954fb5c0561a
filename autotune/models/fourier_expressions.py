"""Discrete Fourier transforms as expressions of Relax (imports TVM)."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax


def real_transform(builder: relax.BlockBuilder, rows: Any) -> Any:
    """The first half of the transforms of real rows, [count, size] → [count, size // 2 + 1, 2], real part first.

    In two stages of Cooley and Tukey's, each a matrix product: for size = first * second,

        X[k + first * l] = Σ_n (exp(-2πi k n / size) Σ_m x[second * m + n] exp(-2πi k m / first)) exp(-2πi n l / second)
    """
    count, size = (int(extent) for extent in rows.ty.shape)
    first = next(each for each in range(isqrt(size), 0, -1) if size % each == 0)
    second = size // first
    columns = relax.op.reshape(rows, [count, first, second])
    inner = relax.op.matmul(relax.const(_parts(_roots(first), 0)), columns)
    real, imaginary = (
        builder.emit(relax.op.strided_slice(inner, [1], [part * first], [(part + 1) * first]))
        for part in range(2)
    )
    turns = np.exp(-2j * np.pi / size * np.outer(np.arange(first), np.arange(second)))
    cosines, sines = (relax.const(part.astype(np.float32)) for part in (turns.real, turns.imag))
    turned = relax.op.concat([real * cosines - imaginary * sines, real * sines + imaginary * cosines], axis=2)
    outer = _roots(second)
    products = np.concatenate([_parts(outer, 1), _parts(1j * outer, 1)])
    found = relax.op.reshape(relax.op.matmul(turned, relax.const(products)), [count, first, 2, second])
    whole = relax.op.reshape(relax.op.permute_dims(found, [0, 3, 1, 2]), [count, size, 2])
    return builder.emit(relax.op.strided_slice(whole, [1], [0], [size // 2 + 1]))


def _roots(size: int) -> npt.NDArray[np.complex128]:
    places = np.arange(size)
    return np.asarray(np.exp(-2j * np.pi / size * (np.outer(places, places) % size)))


def _parts(values: npt.NDArray[np.complex128], axis: int) -> npt.NDArray[np.float32]:
    return np.concatenate([values.real, values.imag], axis).astype(np.float32)
