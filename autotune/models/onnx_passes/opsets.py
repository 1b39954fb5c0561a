"""Old operator sets, converted where what follows needs a newer one."""

from __future__ import annotations

import onnx

from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS, is_operator, label, opset_version, rebuilt
from autotune.models.onnx_passes.tensor_types import inferred_types, without_large_weights
from search_spaces.errors import Misuse, last_line

# Before, binary operators broadcast along an attribute, and others say whether they train.
_FIRST_WITH_NUMPY_BROADCASTING = 7
# From here on axes are inputs, as the passes write them.
_FIRST_WITH_AXES_AS_INPUTS = 13
# ONNX's converter leaves the operator as it is, which means something else.
_FIRST_SCAN_WITHOUT_BATCH = 9
_WRITTEN_BY_PASSES = ("If", "Loop", "Scan", "SplitToSequence", "ConcatFromSequence", "SequenceAt")


def with_current_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in a newer version of ONNX's operator set, where its own is too old for the passes; else itself.

    Raises Misuse where ONNX cannot convert an operator.
    """
    version = opset_version(model)
    if version >= _FIRST_WITH_AXES_AS_INPUTS:
        return model
    if version >= _FIRST_WITH_NUMPY_BROADCASTING and not any(
        is_operator(node, *_WRITTEN_BY_PASSES) for node in model.graph.node
    ):
        return model
    for node in model.graph.node:
        if is_operator(node, "Scan") and version < _FIRST_SCAN_WITHOUT_BATCH:
            raise Misuse(
                f"expected {label(node)} of opset {_FIRST_SCAN_WITHOUT_BATCH} or newer; found opset {version}. "
                "Export the model with a newer one",
                code="AT111",
            )
    if version < _FIRST_WITH_NUMPY_BROADCASTING:
        model = _with_slopes_of_channels(model)
    if version < 1:
        raise Misuse(
            f"expected opset {_FIRST_WITH_NUMPY_BROADCASTING} or newer; found opset {version}, which there is not. "
            "Export the model again",
            code="AT111",
        )
    light = without_large_weights(model)
    for each in light.opset_import:
        each.domain = "" if each.domain in DEFAULT_DOMAINS else each.domain
    try:
        converted = onnx.version_converter.convert_version(light, _FIRST_WITH_AXES_AS_INPUTS)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        raise Misuse(
            f"expected opset {_FIRST_WITH_NUMPY_BROADCASTING} or newer; found opset {version}, which ONNX cannot "
            f"convert: {last_line(error)}. Export the model with a newer one",
            code="AT111",
        ) from error
    known = {tensor.name for tensor in model.graph.initializer}
    made = [tensor for tensor in converted.graph.initializer if tensor.name not in known]
    newer = rebuilt(model, converted.graph.node, made)
    del newer.opset_import[:]
    newer.opset_import.extend(converted.opset_import)
    return newer


def _with_slopes_of_channels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each vector of slopes of PRelu in a shape that later broadcasts along the channels."""
    types = inferred_types(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        known = [types[name].shape if name in types else None for name in node.input]
        if (
            is_operator(node, "PRelu")
            and known[0] is not None
            and known[1] is not None
            and len(known[1]) == 1
        ):
            axes = list(range(1, len(known[0]) - 1))
            slope = f"{node.output[0]}/slope"
            nodes.append(onnx.helper.make_node("Unsqueeze", [node.input[1]], [slope], slope, axes=axes))
            node = onnx.helper.make_node("PRelu", [node.input[0], slope], node.output, node.name)
        nodes.append(node)
    return rebuilt(model, nodes)
