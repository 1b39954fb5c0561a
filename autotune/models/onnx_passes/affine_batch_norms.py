"""Batch norms that no convolution has absorbed, as one multiplication and one addition."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.absorbed_scales import affine_batch_norm
from autotune.models.onnx_passes.rewriting import is_operator, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types

# Half floats are scaled and shifted in it: a shift that nearly cancels would leave their rounding alone.
_WIDE = np.dtype(np.float32)


def with_affine_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with batch norms of constant statistics as x · scale + shift; itself where it has none.

    TVM would compute x - mean, a division, a multiplication and an addition for each element, and compile a program
    for every step of folding their constants.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    affine = {
        node.output[0]: found
        for node in model.graph.node
        if is_operator(node, "BatchNormalization") and (found := affine_batch_norm(node, weights))
    }
    if not affine:
        return model
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    made: list[onnx.TensorProto] = []
    for node in model.graph.node:
        known = types.get(node.input[0]) if node.output[0] in affine else None
        if known is None or known.shape is None:
            nodes.append(node)
            continue
        origin = node.name or node.output[0]
        shape = (1, -1, *[1] * (len(known.shape) - 2))
        is_half = known.dtype.itemsize < _WIDE.itemsize
        dtype = _WIDE if is_half else known.dtype
        for part, value in zip(("scale", "shift"), affine[node.output[0]], strict=True):
            made.append(numpy_helper.from_array(value.reshape(shape).astype(dtype), f"{origin}/{part}"))
        nodes += _scale_and_shift(node, origin, known.elem_type if is_half else None)
    return rebuilt(model, nodes, made)


def _scale_and_shift(norm: onnx.NodeProto, origin: str, half: int | None) -> list[onnx.NodeProto]:
    """The nodes in place of a norm; half: the element type that is widened before them and rounded to behind them."""
    read, written = norm.input[0], norm.output[0]
    wide_read, wide_written = (f"{origin}/wide", f"{origin}/shifted") if half else (read, written)
    scaled = f"{origin}/scaled"
    nodes = [
        onnx.helper.make_node("Mul", [wide_read, f"{origin}/scale"], [scaled], f"{origin}/multiply"),
        onnx.helper.make_node("Add", [scaled, f"{origin}/shift"], [wide_written], f"{origin}/add"),
    ]
    if half is None:
        return nodes
    widen = onnx.helper.make_node("Cast", [read], [wide_read], f"{origin}/widen", to=onnx.TensorProto.FLOAT)
    return [
        widen,
        *nodes,
        onnx.helper.make_node("Cast", [wide_written], [written], f"{origin}/round", to=half),
    ]
