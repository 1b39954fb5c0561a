"""Products of matrices and convolutions of small integers that lie in 32-bit words (imports TVM).

A word holds two integers of 16 bits or four of 8. A product of matrices of words is like one of float32 with half or a
quarter as many steps, so that schedules, packed weights and tiles in registers apply to it as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import te, tirx

from search_spaces.tensor_ir.word_instructions import WordProduct


def words(x: te.Tensor, product: WordProduct, offset: Any = None) -> te.Tensor:
    """Words of parts of the last axis: ``x[..., k]``, ``x[..., k + count]`` and so on, of ``count = ceil(K / parts)``.

    x: numbers of any dtype that are integers, and with the offset, a number in int32, such of a product's first word.
    What lies beyond the end is 0.
    """
    *outer, length = (int(size) for size in x.shape)
    count = -(-length // product.parts)

    def word(*indices: Any) -> Any:
        *before, k = indices
        found = None
        for place in range(product.parts):
            part = x(*before, k + place * count).astype("int32")
            part = part if offset is None else part + offset
            if place < product.parts - 1:
                part = part & tirx.const((1 << product.bits) - 1, "int32")
            if place:
                part = part << tirx.const(product.bits * place, "int32")
            if (place + 1) * count > length:
                part = tirx.if_then_else(k + place * count < length, part, tirx.const(0, "int32"))
            found = part if found is None else found | part
        return found

    return te.compute((*outer, count), word, "words")


def repeated(value: Any, product: WordProduct) -> Any:
    """The word whose parts are all one number in int32, for the first word of a product."""
    part = value & tirx.const((1 << product.bits) - 1, "int32")
    if isinstance(part, tirx.IntImm):
        # TVM takes the sign bit of a constant that is shifted for an overflow.
        parts = np.full(product.parts, int(part)).astype(f"uint{product.bits}")
        return tirx.const(int(parts.view(np.int32)[0]), "int32")
    found = part
    for place in range(1, product.parts):
        found = found | (part << tirx.const(product.bits * place, "int32"))
    return found


def packed(values: npt.NDArray[Any], product: WordProduct, axis: int) -> npt.NDArray[np.int32]:
    """As `words`, of integers along any axis of an array."""
    moved = np.moveaxis(values, axis, -1)
    count = -(-moved.shape[-1] // product.parts)
    padded = np.zeros((*moved.shape[:-1], product.parts, count), f"int{product.bits}")
    padded.reshape(*moved.shape[:-1], -1)[..., : moved.shape[-1]] = moved
    found = np.ascontiguousarray(np.swapaxes(padded, -1, -2)).view(np.int32)[..., 0]
    return np.ascontiguousarray(np.moveaxis(found, -1, axis))


def matmul_of_words(left: te.Tensor, right: te.Tensor, product: WordProduct) -> te.Tensor:
    """The product in int32 of words ``[..., M, K]`` and ``[K, N]``."""
    k = te.reduce_axis((0, right.shape[0]), "k")
    return te.compute(
        (*left.shape[:-1], right.shape[1]),
        lambda *indices: te.sum(product(left(*indices[:-1], k), right[k, indices[-1]]), axis=k),
        "matmul",
    )


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a convolution.

    padding: top, left, bottom, right; padding_word: the word in int32 that it is filled with.
    """

    strides: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    padding_word: Any


def conv2d_of_words(data: te.Tensor, weights: te.Tensor, product: WordProduct, windows: Windows) -> te.Tensor:
    """The convolution in int32 of words in NHWC with words in HWIO."""
    strides, dilation = windows.strides, windows.dilation
    top, left, bottom, right = windows.padding
    batch, height, width, channels = (int(size) for size in data.shape)
    rows, columns, _, filters = (int(size) for size in weights.shape)
    padded = data
    if any(windows.padding):
        padded = tvm.topi.nn.pad(
            data, (0, top, left, 0), (0, bottom, right, 0), windows.padding_word, name="pad_temp"
        )
    places = [
        (size + sum(pads) - step * (taps - 1) - 1) // stride + 1
        for size, pads, step, taps, stride in zip(
            (height, width), ((top, bottom), (left, right)), dilation, (rows, columns), strides, strict=True
        )
    ]
    ry, rx, rc = (
        te.reduce_axis((0, size), name) for size, name in ((rows, "ry"), (columns, "rx"), (channels, "rc"))
    )
    return te.compute(
        (batch, *places, filters),
        lambda n, y, x, f: te.sum(
            product(
                padded[n, y * strides[0] + ry * dilation[0], x * strides[1] + rx * dilation[1], rc],
                weights[ry, rx, rc, f],
            ),
            axis=(ry, rx, rc),
        ),
        "conv2d_nhwc",
    )


def without_offset(product: te.Tensor, sums: te.Tensor, offset: Any) -> te.Tensor:
    """A product less what an offset in int32 adds that was added to all of the first operand's integers.

    sums: of the second operand's integers, for each of the last axis' places.
    """
    return te.compute(
        product.shape, lambda *indices: product(*indices) - offset * sums[indices[-1]], "without_offset"
    )
