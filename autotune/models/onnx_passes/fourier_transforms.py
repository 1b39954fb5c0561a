"""Fourier transforms as products with constant matrices, in the stages of Cooley and Tukey."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite
from autotune.models.onnx_passes.tensor import Tensor

_FIRST_AXIS_INPUT = 20
# Of a transform that is one product: sums of more terms take longer and lose digits.
_LARGEST_PRODUCT = 32


@dataclass(frozen=True)
class _Signal:
    """Complex values along the last axis; imaginary: None for real ones."""

    real: Tensor
    imaginary: Tensor | None

    @property
    def length(self) -> int:
        """The number of values along the last axis."""
        return self.real.shape[-1]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The real part, and the imaginary one where there is one."""
        return (self.real,) if self.imaginary is None else (self.real, self.imaginary)

    def mapped(self, apply: Callable[[Tensor], Tensor]) -> _Signal:
        """The signal with both parts changed alike."""
        return _Signal(apply(self.real), None if self.imaginary is None else apply(self.imaginary))


def fourier_transform(node: Node) -> Outputs:
    """DFT, its inverse, and the one-sided forms of both."""
    x, is_inverse = node[0], bool(node.attribute("inverse", 0))
    axis = (
        node.attribute("axis", 1) if node.opset < _FIRST_AXIS_INPUT else (node.integers(2, "axis") or [-2])[0]
    )
    axis %= x.rank
    is_onesided = bool(node.attribute("onesided", 0))
    given = node.integers(1, "dft_length")
    bins = x.shape[axis]
    length = given[0] if given else (2 * (bins - 1) if is_onesided and is_inverse else bins)
    order = [each for each in range(x.rank - 1) if each != axis] + [axis]
    wanted = length // 2 + 1 if is_onesided and is_inverse else length

    def moved(part: Tensor) -> Tensor:
        # Sums that cancel to values near zero: in float64, as other fast transforms may lose less.
        wide = part.transpose(*order).cast(np.float64)
        return wide.pad([(0, 0)] * (wide.rank - 1) + [(0, wanted - bins)])

    signal = _signal(x).mapped(moved)
    sign = 1 if is_inverse else -1
    if is_onesided and is_inverse:
        found = _Signal(_transformed(_mirrored(signal, length), sign, length).real, None)
    else:
        found = _transformed(signal, sign, length // 2 + 1 if is_onesided else length)

    def moved_back(part: Tensor) -> Tensor:
        scaled = part / length if is_inverse else part
        return scaled.cast(x.dtype).transpose(*(order.index(each) for each in range(x.rank - 1)))

    return [_stacked(found.mapped(moved_back))]


def short_time_fourier_transform(node: Node) -> Outputs:
    """STFT: the transforms of windows that slide along a signal."""
    x, window = node[0], node.get(2)
    if x.rank == 2:
        # Real signals may leave out the axis of their one part.
        x = x.reshape(*x.shape, 1)
    step, given = (node.integers(place, name) for place, name in ((1, "frame_step"), (3, "frame_length")))
    if not step:
        raise node.refusal("has no frame_step", "Export the model again")
    length = given[0] if given else (window.size if window is not None else x.shape[1])
    count = (x.shape[1] - length) // step[0] + 1
    places = np.arange(count)[:, None] * step[0] + np.arange(length)[None, :]

    def frames(part: Tensor) -> Tensor:
        taken = part.take(places, 1)
        return taken if window is None else taken * window

    bins = length // 2 + 1 if node.attribute("onesided", 1) else length
    return [_stacked(_transformed(_signal(x).mapped(frames), -1, bins))]


def _signal(x: Tensor) -> _Signal:
    """The signal of a tensor whose last axis has the real parts, and the imaginary ones where these are not zero."""
    imaginary = x.index(x.rank - 1, 1) if x.shape[-1] > 1 else None
    if imaginary is not None and imaginary.array is not None and not imaginary.array.any():
        imaginary = None
    return _Signal(x.index(x.rank - 1, 0), imaginary)


def _stacked(signal: _Signal) -> Tensor:
    """The parts along an axis of their own, the last."""
    return _joined([part.reshape(*part.shape, 1) for part in signal.parts])


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else parts[0].graph.add("Concat", *parts, axis=parts[0].rank - 1)


def _transformed(signal: _Signal, sign: int, bins: int) -> _Signal:
    """The sums of x[n] e^(sign 2 pi i k n / length) for k below bins: all, or those up to half the length.

    With n = rows a + b and k = c + first d, that is a transform over a, a turn by c b / length, and one over b.
    """
    length = signal.length
    most = min(math.isqrt(length), _LARGEST_PRODUCT)
    first = max(each for each in range(1, most + 1) if length % each == 0)
    if length <= _LARGEST_PRODUCT or first == 1:
        return _product(signal, sign, bins)
    rows, lead = length // first, signal.real.shape[:-1]
    columns = signal.mapped(lambda part: part.reshape(*lead, first, rows).swapped())
    turned = _turned(_product(columns, sign, first), waves(rows, first, length, sign)).mapped(Tensor.swapped)
    found = _transformed(turned, sign, rows if bins == length else rows // 2 + 1).mapped(Tensor.swapped)
    return found.mapped(lambda part: part.reshape(*lead, -1).slice(len(lead), 0, bins))


def _product(signal: _Signal, sign: int, bins: int) -> _Signal:
    """The transform as one product for each part of the result."""
    cosine, sine = waves(signal.length, bins, signal.length, sign)
    joined = _joined(signal.parts)
    matrices = (
        (cosine, sine)
        if signal.imaginary is None
        else (np.concatenate([cosine, -sine]), np.concatenate([sine, cosine]))
    )
    graph, dtype = joined.graph, joined.dtype
    return _Signal(*(joined @ graph.constant(matrix, dtype) for matrix in matrices))


def _turned(signal: _Signal, waves: tuple[np.ndarray, np.ndarray]) -> _Signal:
    """The products with complex numbers."""
    cosine, sine = waves
    real, imaginary = signal.real, signal.imaginary
    assert imaginary is not None
    return _Signal(real * cosine - imaginary * sine, real * sine + imaginary * cosine)


def waves(rows: int, columns: int, length: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of sign 2 pi k n / length, [rows, columns]."""
    turns = (np.arange(rows)[:, None] * np.arange(columns)[None, :]) % length
    angles = sign * 2 * math.pi * turns / length
    return np.cos(angles), np.sin(angles)


def _mirrored(signal: _Signal, length: int) -> _Signal:
    """The whole transform of a real signal from its first half: X[length - k] is the conjugate of X[k]."""
    rest = np.arange(length - signal.length, 0, -1)
    axis = signal.real.rank - 1
    real = _joined([signal.real, signal.real.take(rest, axis)])
    if signal.imaginary is None:
        return _Signal(real, None)
    # Those of the mean and of the highest frequency are of no account.
    counted = np.ones(signal.length)
    counted[0] = 0
    if length % 2 == 0:
        counted[-1] = 0
    imaginary = signal.imaginary * counted
    return _Signal(real, _joined([imaginary, -imaginary.take(rest, axis)]))


REWRITES: dict[str, Rewrite] = {
    "DFT": fourier_transform,
    "STFT": short_time_fourier_transform,
}
