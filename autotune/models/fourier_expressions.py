"""Discrete Fourier transforms as expressions of Relax (imports TVM)."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax

from autotune.models.onnx_passes.fourier_transforms import waves


def real_transform(builder: relax.BlockBuilder, rows: Any) -> Any:
    """The first half of the transforms of real rows, [count, size] → [count, size // 2 + 1, 2], real part first.

    In two stages of Cooley and Tukey's, each a matrix product: for size = first * second,

        X[k + first * l] = Σ_n (exp(-2πi k n / size) Σ_m x[second * m + n] exp(-2πi k m / first)) exp(-2πi n l / second)
    """
    count, size = (int(extent) for extent in rows.ty.shape)
    first = next(each for each in range(isqrt(size), 0, -1) if size % each == 0)
    second = size // first
    columns = relax.op.reshape(rows, [count, first, second])
    inner = relax.op.matmul(_constant(np.concatenate(waves(first, first, first, -1))), columns)
    real, imaginary = (
        builder.emit(relax.op.strided_slice(inner, [1], [part * first], [(part + 1) * first]))
        for part in range(2)
    )
    cosines, sines = map(_constant, waves(first, second, size, -1))
    turned = relax.op.concat([real * cosines - imaginary * sines, real * sines + imaginary * cosines], axis=2)
    cosine, sine = waves(second, second, second, -1)
    products = relax.op.matmul(turned, _constant(np.block([[cosine, sine], [-sine, cosine]])))
    found = relax.op.reshape(products, [count, first, 2, second])
    whole = relax.op.reshape(relax.op.permute_dims(found, [0, 3, 1, 2]), [count, size, 2])
    return builder.emit(relax.op.strided_slice(whole, [1], [0], [size // 2 + 1]))


def _constant(values: npt.NDArray[np.float64]) -> relax.Expr:
    return relax.const(values.astype(np.float32))
