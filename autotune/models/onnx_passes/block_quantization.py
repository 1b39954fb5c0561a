"""Weights of few bits, with a scale for each block, as floats."""

from __future__ import annotations

import numpy as np

from autotune.models.onnx_passes.node import Node, Outputs, Rewrite

_BITS = (2, 4, 8)
_REMEDY = "Export the model with 4 or 8 bits and constant weights"


def matmul_of_few_bits(node: Node) -> Outputs:
    """MatMulNBits of ONNX Runtime: the product with the weights that its blocks stand for."""
    x, bits, block = node[0], node.attribute("bits", 4), node.attribute("block_size")
    if bits not in _BITS or node.attribute("weight_prepacked", 0):
        raise node.refusal(f"has weights of {bits} bits, or in the layout of a device", _REMEDY)
    if node.has(4):
        raise node.refusal("has g_idx, an order of the rows", _REMEDY)
    rows, columns = node.attribute("K"), node.attribute("N")
    packed, scales = _array(node, 1, "B"), _array(node, 2, "scales")
    values = _unpacked(packed.reshape(columns, -1), bits)
    blocks = -(-rows // block)
    values = values.reshape(columns, blocks, block).astype(np.float32)
    centred = values - _zero_points(node, bits, (columns, blocks))[:, :, None]
    weights = centred * scales.reshape(columns, blocks, 1).astype(np.float32)
    matrix = node.graph.constant(weights.reshape(columns, -1)[:, :rows].T, x.dtype)
    product = x @ matrix
    return [product + node[5] if node.has(5) else product]


def _zero_points(node: Node, bits: int, shape: tuple[int, int]) -> np.ndarray:
    if not node.has(3):
        return np.full(shape, 1 << (bits - 1), np.float32)
    given = _array(node, 3, "zero_points")
    if given.dtype != np.uint8:
        return given.reshape(shape).astype(np.float32)
    return _unpacked(given.reshape(shape[0], -1), bits)[:, : shape[1]].astype(np.float32)


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """The integers of each row of bytes, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed[:, :, None] >> shifts) & np.uint8((1 << bits) - 1)
    return apart.reshape(len(packed), -1)


def _array(node: Node, place: int, name: str) -> np.ndarray:
    node[place]  # an input that must be there
    found = node.array(place, name)
    assert found is not None
    return found


REWRITES: dict[str, Rewrite] = {"com.microsoft.MatMulNBits": matmul_of_few_bits}
