"""Winograd's transformed convolution computes what the direct sum computes, to within a few roundings more."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from search_spaces.target import Target
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.modules import tvm_target
from search_spaces.tensor_ir.winograd import TILE, input_tiles, output_tiles, transformed_weights

Array = npt.NDArray[Any]

#: The root mean square of the rounding errors that is allowed, beside the direct sum's.
_MOST_TIMES_DIRECT = 4.0


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def convolved(image: Array, weights: Array) -> Array:
    """The sum over a 3 × 3 window of an image (N, H, W, C) that has its padding, in the arrays' own precision.

    One product after another is added, as in a loop.
    """
    height, width = image.shape[1] - 2, image.shape[2] - 2
    found = np.zeros((image.shape[0], height, width, weights.shape[-1]), image.dtype)
    for i in range(3):
        for j in range(3):
            for c in range(image.shape[-1]):
                found += image[:, i : i + height, j : j + width, c, None] * weights[i, j, c]
    return found


def compiled(func: tvm.tirx.PrimFunc, target: tvm.target.Target) -> Any:
    scheduled = default_schedule(func, target)
    assert scheduled.attrs["tirx.is_scheduled"]
    module = tvm.IRModule({"main": scheduled.with_attr("global_symbol", "main")})
    return tvm.compile(module, target=target)


def transformed(
    image: Array, weights: Array, pads: tuple[int, int, int, int], target: tvm.target.Target
) -> Array:
    """The convolution of an image (N, H, W, C) in three steps; pads: above, left, below, right."""
    batch, rows, columns, taken = image.shape
    made = weights.shape[-1]
    height, width = rows + pads[0] + pads[2] - 2, columns + pads[1] + pads[3] - 2
    tiles = (-(-height // TILE), -(-width // TILE))
    data = te.placeholder(image.shape, name="data")
    windows = input_tiles(data, pads[:2], tiles)
    into = compiled(te.create_prim_func([data, windows]), target)
    count = batch * tiles[0] * tiles[1]
    held = tvm.runtime.tensor(np.zeros((36, count, taken), np.float32))
    into(tvm.runtime.tensor(image), held)
    products = np.matmul(held.numpy(), transformed_weights(weights))
    source = te.placeholder((36, count, made), name="products")
    results = output_tiles(source, (batch, height, width, made))
    out = compiled(te.create_prim_func([source, results]), target)
    found = tvm.runtime.tensor(np.zeros((batch, height, width, made), np.float32))
    out(tvm.runtime.tensor(np.ascontiguousarray(products)), found)
    return np.asarray(found.numpy())


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(st.integers(1, 2), st.integers(3, 11), st.integers(3, 11)),
    channels=st.tuples(st.sampled_from([16, 32, 48]), st.sampled_from([16, 64])),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    seed=st.integers(0, 2**16),
)
def test_every_size_and_padding_gives_the_convolution(
    size: tuple[int, int, int],
    channels: tuple[int, int],
    pads: tuple[int, int, int, int],
    seed: int,
    target: Target,
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((*size, channels[0])).astype(np.float32)
    weights = (rng.standard_normal((3, 3, *channels)) / 3).astype(np.float32)

    ours = transformed(image, weights, pads, tvm_target(target))

    top, left, below, right = pads
    padded = np.pad(image, ((0, 0), (top, below), (left, right), (0, 0)))
    exact = convolved(padded.astype(np.float64), weights.astype(np.float64))
    assert rms(ours - exact) <= _MOST_TIMES_DIRECT * rms(convolved(padded, weights) - exact)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_error_is_relative_to_the_results_at_any_scale(scale: float, target: Target) -> None:
    rng = np.random.default_rng(0)
    image = (scale * rng.standard_normal((1, 24, 24, 64))).astype(np.float32)
    weights = rng.standard_normal((3, 3, 64, 16)).astype(np.float32)

    ours = transformed(image, weights, (1, 1, 1, 1), tvm_target(target))

    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    exact = convolved(padded.astype(np.float64), weights.astype(np.float64))
    direct = convolved(padded, weights) - exact
    assert rms(ours - exact) <= _MOST_TIMES_DIRECT * rms(direct)
    assert np.abs(ours - exact).max() <= _MOST_TIMES_DIRECT * np.abs(direct).max()


def test_schedules_keep_a_tile_in_vectors(target: Target) -> None:
    data = te.placeholder((1, 12, 12, 32), name="data")
    func = te.create_prim_func([data, input_tiles(data, (1, 1), (3, 3))])

    text = default_schedule(func, tvm_target(target)).script()

    assert "T.parallel(" in text
    assert "T.vectorized(" in text
    assert text.count("T.unroll(") == 3
