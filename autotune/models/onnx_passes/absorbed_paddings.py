"""Convolutions that do the zero padding before them themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import numpy_helper

from autotune.models.onnx_passes.rewriting import (
    attributes,
    is_operator,
    opset_version,
    rebuilt,
    sole_readers,
)

_FIRST_OPSET_WITH_PAD_INPUTS = 11


def with_absorbed_paddings(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each constant padding of a convolution's space by zeros in the convolution's own pads."""
    if opset_version(model) < _FIRST_OPSET_WITH_PAD_INPUTS:
        return model
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = sole_readers(model)
    absorbed: dict[str, onnx.NodeProto] = {}
    removed: set[str] = set()
    for node in model.graph.node:
        reader = readers.get(node.output[0]) if is_operator(node, "Pad") else None
        if reader is None or not is_operator(reader, "Conv") or reader.input[0] != node.output[0]:
            continue
        pads = _zero_pads(node, weights)
        wider = _padded(reader, node.input[0], pads) if pads else None
        if wider is not None:
            absorbed[reader.output[0]] = wider
            removed.add(node.output[0])
    if not absorbed:
        return model
    kept = (node for node in model.graph.node if node.output[0] not in removed)
    return rebuilt(model, (absorbed.get(node.output[0], node) for node in kept))


def _zero_pads(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> list[int] | None:
    """The pads of a padding with constant zeros on all axes, as `Pad` lists them."""
    mode = attributes(node).get("mode", b"constant")
    if mode != b"constant" or len(node.input) > 3 or node.input[1] not in weights:
        return None
    if len(node.input) == 3 and node.input[2]:
        value = weights.get(node.input[2])
        if value is None or numpy_helper.to_array(value).any():
            return None
    pads: list[int] = numpy_helper.to_array(weights[node.input[1]]).tolist()
    return pads


def _padded(node: onnx.NodeProto, source: str, pads: Sequence[int]) -> onnx.NodeProto | None:
    """The convolution of the source with these pads in addition to its own; None where it cannot have them."""
    rank = len(pads) // 2
    begin, end = pads[:rank], pads[rank:]
    given = attributes(node)
    if (
        any((*begin[:2], *end[:2]))
        or min(pads) < 0
        or given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    ):
        return None
    own = given.get("pads", [0] * (2 * (rank - 2)))
    added = [*begin[2:], *end[2:]]
    wider = onnx.NodeProto()
    wider.CopyFrom(node)
    wider.input[0] = source
    kept = [attribute for attribute in wider.attribute if attribute.name not in ("pads", "auto_pad")]
    kept.append(
        onnx.helper.make_attribute("pads", [one + other for one, other in zip(own, added, strict=True)])
    )
    del wider.attribute[:]
    wider.attribute.extend(kept)
    return wider
