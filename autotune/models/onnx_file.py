"""An ONNX file as it is taken in: read, found complete, and with the shape of every input fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from autotune.models.input_shapes import FixedSizes, fix, free_names, is_static
from autotune.models.input_spec import InputSpec, Shape
from autotune.models.onnx_passes.functions import check_calls
from autotune.models.onnx_passes.node_order import with_sorted_nodes
from autotune.models.onnx_passes.rewriting import name_of, names_read, opset_version, subgraphs
from autotune.models.stored_tensors import examined
from search_spaces.errors import Misuse, last_line

__all__ = [
    "FIRST_IR_WITH_CONSTANT_WEIGHTS",
    "FixedSizes",
    "InputSpec",
    "Shape",
    "free_dimensions",
    "inputs",
    "nodes",
    "read",
    "read_graph",
    "read_unfixed",
    "read_with_notices",
]

#: The first file version in which weights need not be listed among the inputs.
FIRST_IR_WITH_CONSTANT_WEIGHTS = 4


def read(path: Path, shapes: Mapping[str, Shape], dims: Mapping[str, int] | None = None) -> onnx.ModelProto:
    """The model in the file with static inputs; weights are initializers only, which no caller may override.

    shapes gives the shape of inputs by name, dims the size of dimensions by name; an input that is left out takes
    the sizes of dimensions of the same name. Raises Misuse for a file that is not a whole ONNX model, for shapes
    that do not match the inputs, and for inputs that are still dynamic.
    """
    return read_with_notices(path, FixedSizes(shapes, dims or {}))[0]


def read_with_notices(path: Path, fixed: FixedSizes) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model as `read` returns it, with notices of dimensions that were taken as 1, and of NaN in its weights."""
    model = read_unfixed(path)
    check_calls(model, path.name)
    found = examined(model, path)
    model = with_sorted_nodes(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    weights.update(tensor.values.name for tensor in model.graph.sparse_initializer)
    fed = [value for value in model.graph.input if value.name not in weights]
    for value in fed:
        _check_type(value, path)
    notices = fix(fed, fixed, path.name)
    _forget_dynamic(model, fed)
    return model, (*notices, *found)


def read_unfixed(path: Path) -> onnx.ModelProto:
    """The model in the file as it is, free dimensions included. Raises Misuse for a file that is not a whole model."""
    model = _read(path)
    _check_whole(model, path)
    return model


def inputs(model: onnx.ModelProto) -> tuple[InputSpec, ...]:
    """The inputs of a model that `read` returned, in the order of the file."""
    return tuple(
        InputSpec(
            value.name,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
        )
        for value in model.graph.input
    )


def free_dimensions(path: Path) -> dict[str, tuple[str | None, ...]]:
    """The names of the free dimensions of each input of a file, None for those without one and for fixed ones."""
    return {value.name: free_names(value) for value in _read(path).graph.input}


def read_graph(path: Path) -> onnx.GraphProto:
    """The graph of a file as it is, with nothing fixed or checked. Raises Misuse for a file that is not ONNX."""
    return _read(path).graph


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of branches and loop bodies included."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes(inner)


def _read(path: Path) -> onnx.ModelProto:
    try:
        if path.is_char_device():  # /dev/zero has no end
            raise Misuse(f"expected an ONNX file; {path} is a device", code="AT101")
        return onnx.load(path, format="protobuf")
    except IsADirectoryError:
        raise Misuse(f"expected an ONNX file; {path} is a directory", code="AT101") from None
    except FileNotFoundError as error:
        raise Misuse(
            f"expected an ONNX file at {path}; {error.filename or error} does not exist", code="AT101"
        ) from None
    except DecodeError:
        raise Misuse(
            f"expected an ONNX file; {path} is truncated or not ONNX. export or fetch it again", code="AT102"
        ) from None
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise Misuse(
            f"expected a readable ONNX file at {path}; found: {last_line(error).rstrip('.')}. Weights beside it must "
            "be whole files in its folder, no links out of it",
            code="AT102",
        ) from error


def _check_whole(model: onnx.ModelProto, path: Path) -> None:
    graph = model.graph
    if not model.ir_version or not graph.output:
        raise Misuse(f"expected an ONNX model; {path} holds no graph: it is empty or not ONNX", code="AT102")
    if not model.opset_import:
        raise Misuse(
            f"expected an ONNX model; {path} ends before its operator set: export or fetch it again",
            code="AT102",
        )
    version, newest = opset_version(model), onnx.defs.onnx_opset_version()
    if version > newest:
        raise Misuse(
            f"expected an opset up to {newest}, the newest that is known here; {path} has opset {version}. "
            f"Export it with opset {newest} or older, or install a newer onnx",
            code="AT111",
        )
    _check_text(model, path)
    _check_names(graph, path)
    known = {"", *_given(graph), *(name for node in graph.node for name in node.output)}
    for node in graph.node:
        missing = [name for name in names_read(node) if name not in known]
        if missing:
            raise Misuse(
                f"expected a whole ONNX model; in {path} nothing computes {missing[0]!r}, "
                f"which {node.op_type} {name_of(node)!r} reads: export or fetch it again",
                code="AT103",
            )
    missing = [value.name for value in graph.output if value.name not in known]
    if missing:
        raise Misuse(
            f"expected a whole ONNX model; in {path} nothing computes the output {missing[0]!r}", code="AT103"
        )


def _check_text(model: onnx.ModelProto, path: Path) -> None:
    """Raises Misuse for a name that is no text: protobuf hands over its bytes."""
    graph = model.graph
    names = [graph.name, *_given(graph), *(opset.domain for opset in model.opset_import)]
    for value in (*graph.input, *graph.output, *graph.value_info):
        names += [value.name, *(dim.dim_param for dim in value.type.tensor_type.shape.dim)]
    for node in nodes(graph):
        names += [node.name, node.op_type, node.domain, node.overload, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if any(isinstance(name, bytes) for name in names):
        raise Misuse(
            f"expected names of text; {path} holds a name of other bytes: it is damaged. export or fetch it again",
            code="AT102",
        )


def _given(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of inputs and weights."""
    yield from (value.name for value in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (tensor.values.name for tensor in graph.sparse_initializer)


def _check_names(graph: onnx.GraphProto, path: Path) -> None:
    """Raises Misuse where two inputs, two weights or two nodes give the same name."""
    inputs = [value.name for value in graph.input]
    weights = [tensor.name for tensor in graph.initializer]
    weights += [tensor.values.name for tensor in graph.sparse_initializer]
    computed = [name for node in graph.node for name in node.output if name]
    outputs = [value.name for value in graph.output]
    for kind, names in (("inputs", inputs), ("weights", weights), ("results", computed)):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise Misuse(
                f"expected one tensor for each name; in {path} two {kind} are called {repeated[0]!r}",
                code="AT112",
            )
    if "" in (*inputs, *weights, *outputs):
        raise Misuse(
            f"expected a name for each input, weight and output; {path} has one without", code="AT112"
        )
    shared = set(computed) & set(_given(graph))
    if shared:
        raise Misuse(
            f"expected one tensor for each name; in {path} a node computes {min(shared)!r}, which is given as well",
            code="AT112",
        )


def _check_type(value: onnx.ValueInfoProto, path: Path) -> None:
    """Raises Misuse for an input that is no tensor of numbers of whole bytes."""
    if not value.type.HasField("tensor_type"):
        kind = (value.type.WhichOneof("value") or "value without a type").removesuffix("_type")
        raise Misuse(
            f"expected tensors as inputs; {value.name!r} of {path.name} is a {kind}. Export it with tensors",
            code="AT105",
        )
    kind = value.type.tensor_type.elem_type
    name = onnx.TensorProto.DataType.Name(kind) if kind in onnx.TensorProto.DataType.values() else "UNDEFINED"
    if name in ("UNDEFINED", "STRING") or name.startswith(
        ("COMPLEX", "INT4", "UINT4", "INT2", "UINT2", "FLOAT4")
    ):
        raise Misuse(
            f"expected numbers of whole bytes as inputs; {value.name!r} of {path.name} is of type {name.lower()}. "
            "Export the model with another element type",
            code="AT105",
        )


def _forget_dynamic(model: onnx.ModelProto, fed: list[onnx.ValueInfoProto]) -> None:
    """Drops what the file says about sizes inside, and the listing of weights among the inputs."""
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in fed]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not is_static(value):
            value.type.tensor_type.ClearField("shape")
    model.ir_version = max(model.ir_version, FIRST_IR_WITH_CONSTANT_WEIGHTS)
