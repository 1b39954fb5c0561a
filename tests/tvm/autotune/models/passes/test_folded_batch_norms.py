"""Batch norms of other importers become constants, and compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax

from autotune.deployment.compilation import compile
from autotune.models.passes.folded_batch_norms import with_folded_batch_norms
from search_spaces.target import Target
from tuning_logs.file.log import TuningLog

RANDOM = np.random.default_rng(0)
CHANNELS = 8


def constant(values: np.ndarray, dtype: str) -> Any:
    return relax.const(values.astype(dtype), dtype)


def network(rank: int, dtype: str, second_reader: bool) -> tvm.IRModule:
    """A convolution of 4 channels of 6 elements an axis to 8, and a batch norm; perhaps the convolution as well."""
    convolution = getattr(relax.op.nn, f"conv{rank}d") if rank else None
    channels = 4 if rank else CHANNELS
    x = relax.Var("x", relax.TensorType((1, channels, *[6] * (rank or 2)), dtype))
    statistics = RANDOM.uniform(0.5, 2, (4, CHANNELS))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            data = x
            if convolution is not None:
                weight = constant(RANDOM.standard_normal((CHANNELS, 4, *[3] * rank)), dtype)
                data = builder.emit(convolution(x, weight))
            rows = [constant(row, dtype) for row in statistics]
            norm = builder.emit(relax.op.nn.batch_norm(data, *rows, axis=1, training=False))
            results = [norm[0], data] if second_reader else [norm[0]]
            found = builder.emit_output(relax.Tuple([builder.emit(each) for each in results]))
        builder.emit_func_output(found)
    return builder.get()


def operators(module: tvm.IRModule) -> list[str]:
    found: list[str] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, tvm.ir.Call):
            found.append(expr.op.name)

    relax.analysis.post_order_visit(module["main"], visit)
    return found


@pytest.mark.parametrize(
    ("rank", "dtype", "second_reader", "expected"),
    [
        (1, "float32", False, ["relax.nn.conv1d", "relax.add"]),
        (2, "float32", False, ["relax.nn.conv2d", "relax.add"]),
        (3, "float32", False, ["relax.nn.conv3d", "relax.add"]),
        (2, "float16", False, ["relax.nn.conv2d", "relax.add"]),
        (2, "float32", True, ["relax.nn.conv2d", "relax.multiply", "relax.add"]),
        (0, "float32", False, ["relax.multiply", "relax.add"]),
    ],
)
def test_norms(rank: int, dtype: str, second_reader: bool, expected: list[str], target: Target) -> None:
    module = network(rank, dtype, second_reader)
    folded = with_folded_batch_norms(module)
    assert operators(folded) == expected
    x = RANDOM.standard_normal([int(size) for size in module["main"].params[0].ty.shape]).astype(dtype)
    right, found = (compile(each, target, TuningLog.in_memory())(x) for each in (module, folded))
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    for mine, theirs in zip(found, right, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("training", [False, True])
def test_norms_of_computed_statistics_stay(training: bool) -> None:
    x, mean = (
        relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in (("x", (1, 8, 6)), ("m", (8,)))
    )
    ones = constant(np.ones(CHANNELS), "float32")
    given = ones if training else mean
    builder = relax.BlockBuilder()
    with builder.function("main", [x, mean]):
        with builder.dataflow():
            norm = builder.emit(relax.op.nn.batch_norm(x, ones, ones, given, ones, axis=1, training=training))
            found = builder.emit_output(norm[0])
        builder.emit_func_output(found)
    assert operators(with_folded_batch_norms(builder.get())) == ["relax.nn.batch_norm"]
