"""The tensors that an ONNX file stores: found whole, and searched for values that make results NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from autotune.models.onnx_passes.rewriting import subgraphs
from search_spaces.errors import Misuse, last_line

# Elements that are looked at in one step.
_CHUNK = 1 << 20
# Tensors that a notice names.
_MAX_NAMED = 3
# Operators that multiply by what they store: 0 times an infinity is NaN.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "GRU", "LSTM", "RNN")
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64, TensorProto.FLOAT16: np.float16}


def examined(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Notices of stored tensors with NaN, and of weights with infinities.

    Raises Misuse for a tensor whose bytes are not those of its element type and shape.
    """
    weights = {name for node in model.graph.node if node.op_type in _PRODUCTS for name in node.input}
    with_nan, with_infinity = [], []
    for tensor in _stored(model.graph):
        has_nan, has_infinity = _checked(tensor, path)
        if has_nan:
            with_nan.append(tensor.name)
        elif has_infinity and tensor.name in weights:
            with_infinity.append(tensor.name)
    for sparse in model.graph.sparse_initializer:
        _check_positions(sparse, path)
    found = (("NaN", with_nan), ("infinite values", with_infinity))
    return tuple(_notice(kind, names, path) for kind, names in found if names)


def _stored(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from (each.t for each in node.attribute if each.type == onnx.AttributeProto.TENSOR)
        for inner in subgraphs(node):
            yield from _stored(inner)


def _notice(kind: str, names: list[str], path: Path) -> str:
    named = ", ".join(repr(name) for name in names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return (
        f"{kind} in stored tensors of {path.name}: {named}{more}. What is computed from them is NaN or infinite in "
        "any engine: look at the training or the export"
    )


def _checked(tensor: TensorProto, path: Path) -> tuple[bool, bool]:
    """True for NaN, and for infinities. Raises Misuse where the tensor is not whole."""
    shape, kind = tuple(tensor.dims), tensor.data_type
    if kind not in TensorProto.DataType.values() or kind == TensorProto.UNDEFINED:
        raise _refusal(tensor, path, f"has the element type {kind}, which there is not")
    if min(shape, default=0) < 0:
        raise _refusal(tensor, path, f"has the shape {shape}")
    if kind == TensorProto.STRING:
        return False, False
    if kind in _FLOATS and tensor.HasField("raw_data"):
        data = tensor.raw_data
        wanted = math.prod(shape) * np.dtype(_FLOATS[kind]).itemsize
        if len(data) != wanted:
            raise _refusal(tensor, path, f"of shape {shape} stores {len(data)} bytes in place of {wanted}")
        return _unusual(np.frombuffer(data, _FLOATS[kind]))
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        reason = last_line(error)
        raise _refusal(tensor, path, f"of shape {shape} stores other values: {reason}") from None
    return _unusual(array.reshape(-1)) if kind in _FLOATS else (False, False)


def _unusual(values: np.ndarray) -> tuple[bool, bool]:
    has_nan = has_infinity = False
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        if not np.isfinite(chunk).all():
            has_nan = has_nan or bool(np.isnan(chunk).any())
            has_infinity = True
    return has_nan, has_infinity


def _check_positions(sparse: onnx.SparseTensorProto, path: Path) -> None:
    shape = tuple(sparse.dims)
    positions = numpy_helper.to_array(sparse.indices)
    limits = np.array(shape if positions.ndim == 2 else [math.prod(shape)])
    if positions.size and (positions.min() < 0 or (positions >= limits).any()):
        raise _refusal(sparse.values, path, f"of shape {shape} stores values outside")


def _refusal(tensor: TensorProto, path: Path, what: str) -> Misuse:
    return Misuse(
        f"expected whole tensors; in {path} the tensor {tensor.name!r} {what}: export or fetch it again",
        code="AT103",
    )
