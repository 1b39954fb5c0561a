"""Advice on inputs that decide what a compiler must know: shapes, axes, conditions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import onnx

from autotune.models.onnx_passes.rewriting import names_read

# Inputs of more elements are data rather than a choice.
_MOST_ELEMENTS = 16


def freezing_advice(
    nodes: Iterable[onnx.NodeProto], input_sizes: Mapping[str, int], names: Collection[str]
) -> str:
    """The command that fixes the inputs that tensors are computed from, as the end of a sentence.

    input_sizes: the elements of each input; names: the tensors, which nodes compute. Empty where these are computed
    from data, that is from more than a few numbers.
    """
    makers = {name: node for node in nodes for name in node.output}
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += names_read(makers[name]) if name in makers else []
    inputs = [name for name in input_sizes if name in reached]
    if not inputs or any(input_sizes[name] > _MOST_ELEMENTS for name in inputs):
        return ""
    given = " ".join(f"--input {name}=VALUE" for name in inputs)
    return f", or fix what decides it: autotune freeze MODEL {given} --output FIXED.onnx"
