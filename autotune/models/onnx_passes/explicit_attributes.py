"""Attributes whose defaults ONNX's shape inference mistakes, written out."""

from __future__ import annotations

import onnx

from autotune.models.onnx_passes.rewriting import is_operator


def with_explicit_attributes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with `onesided=1` at each STFT that leaves it to the default.

        y = STFT(x, step, window)  →  y = STFT(x, step, window, onesided=1)

    Shape inference takes the missing attribute for 0, and all shapes that follow are wrong.
    """
    if not any(_lacks_onesided(node) for node in model.graph.node):
        return model
    explicit = onnx.ModelProto()
    explicit.CopyFrom(model)
    for node in explicit.graph.node:
        if _lacks_onesided(node):
            node.attribute.append(onnx.helper.make_attribute("onesided", 1))
    return explicit


def _lacks_onesided(node: onnx.NodeProto) -> bool:
    return is_operator(node, "STFT") and not any(one.name == "onesided" for one in node.attribute)
