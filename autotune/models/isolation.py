"""The node of a user's file, or the call of its graph, that makes the whole model fail (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import onnx
import tvm

from autotune.models.graph_calls import graph_calls
from autotune.models.model import Model
from autotune.models.model_format import ModelFormat
from autotune.models.onnx_file import FixedSizes, read_with_notices
from autotune.models.onnx_import import importable, imported
from autotune.models.onnx_passes.pipeline import normalized
from autotune.models.onnx_passes.rewriting import names_read
from autotune.models.onnx_passes.tensor_types import TensorType, inferred_types
from autotune.models.origin import Origin, with_named_nodes
from search_spaces.errors import AutotuneError

# Constants up to this size are part of what a node computes: axes, shapes, pads.
_MAX_KEPT_BYTES = 8192


def failing_node(
    model: Model, attempt: Callable[[tvm.IRModule], object]
) -> tuple[Origin | None, Exception] | None:
    """The first node that fails on its own, and its error; None where each of them goes through.

    attempt: what failed for the whole model, as lowering or building it; it is called with the Relax module of one
    node at a time, equal nodes once. Large weights are inputs there.
    """
    for name, alone, origin in _parts(model):
        try:
            attempt(alone())
        except (AutotuneError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
            return model.origins.of(name) or origin, error
    return None


def _parts(model: Model) -> Iterator[tuple[str, Callable[[], tvm.IRModule], Origin | None]]:
    """The parts of a model by name, each to be imported alone; with what is known of them without the file."""
    if model.format is not ModelFormat.ONNX:
        yield from graph_calls(model.module)
        return
    proto = read_with_notices(model.path, FixedSizes(model.shapes, {}))[0]
    rewritten = normalized(with_named_nodes(proto), importable)
    for name, alone in nodes_alone(rewritten, _MAX_KEPT_BYTES):
        yield name, partial(imported, alone, model.origins), None


def nodes_alone(model: onnx.ModelProto, max_kept_bytes: int) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each named node as a model of its own; one of all that compute the same of the same types.

    max_kept_bytes: weights up to this size are initializers there, larger ones are inputs.
    """
    types = inferred_types(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    seen: set[bytes] = set()
    for node in model.graph.node:
        read = dict.fromkeys(names_read(node))
        if not all(name in types for name in (*read, *filter(None, node.output))):
            continue
        alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        alone.graph.name = "node"
        alone.graph.node.append(node)
        for name in read:
            if name in weights and (types[name].num_bytes or 0) <= max_kept_bytes:
                alone.graph.initializer.append(weights[name])
            else:
                alone.graph.input.append(_value(name, types[name]))
        alone.graph.output.extend(_value(name, types[name]) for name in node.output if name)
        signature = _signature(alone)
        if signature not in seen:
            seen.add(signature)
            yield node.name, alone


def _signature(alone: onnx.ModelProto) -> bytes:
    """The identity of a node's computation, without the names of its tensors."""
    bare = onnx.ModelProto()
    bare.CopyFrom(alone)
    names: dict[str, str] = {}
    (node,) = bare.graph.node
    node.name = ""
    for side in (node.input, node.output):
        for place, name in enumerate(side):
            side[place] = names.setdefault(name, str(len(names))) if name else ""
    for value in (*bare.graph.input, *bare.graph.initializer, *bare.graph.output):
        value.name = names.get(value.name, value.name)
    return bytes(bare.SerializeToString(deterministic=True))


def _value(name: str, known: TensorType) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, known.elem_type, known.shape)
