"""An ONNX file as it is taken in: read, found complete, and with the shape of every input fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from search_spaces.errors import Misuse

Shape = tuple[int, ...]

# The first file version in which weights need not be listed among the inputs.
_FIRST_IR_WITH_CONSTANT_WEIGHTS = 4


@dataclass(frozen=True, slots=True)
class InputSpec:
    """An input of a model: its name in the file, its shape, and its dtype in numpy's words."""

    name: str
    shape: Shape
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}:{','.join(map(str, self.shape))} {self.dtype}"


def read(path: Path, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """The model in the file with static inputs; weights are initializers only, which no caller may override.

    shapes gives the shape of inputs by name; an input that is left out takes the sizes of dimensions of the
    same name. Raises Misuse for a file that is not a whole ONNX model, for shapes that do not match the
    inputs, and for inputs that are still dynamic.
    """
    model = _read(path)
    _check_whole(model, path)
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    _fix(fed, shapes, path)
    _forget_dynamic(model, fed)
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


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of branches and loop bodies included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs] if attribute.type in _GRAPHS else []:
                yield from nodes(inner)


_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path, format="protobuf")
    except IsADirectoryError:
        raise Misuse(f"expected an ONNX file; {path} is a directory") from None
    except FileNotFoundError as error:
        raise Misuse(f"expected an ONNX file at {path}; {error.filename or error} does not exist") from None
    except DecodeError:
        raise Misuse(
            f"expected an ONNX file; {path} is truncated or not ONNX. export or fetch it again"
        ) from None
    except (OSError, onnx.checker.ValidationError) as error:
        raise Misuse(f"expected a readable ONNX file at {path}; found: {error}") from error


def _check_whole(model: onnx.ModelProto, path: Path) -> None:
    graph = model.graph
    if not model.ir_version or not graph.node or not graph.output:
        raise Misuse(f"expected an ONNX model; {path} holds no graph: it is empty or not ONNX")
    if not model.opset_import:
        raise Misuse(f"expected an ONNX model; {path} ends before its operator set: export or fetch it again")
    known = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        missing = [name for name in node.input if name not in known]
        if missing:
            raise Misuse(
                f"expected a whole ONNX model; in {path} nothing computes {missing[0]!r}, "
                f"which {_label(node)} reads: export or fetch it again"
            )
        known.update(node.output)
    missing = [value.name for value in graph.output if value.name not in known]
    if missing:
        raise Misuse(f"expected a whole ONNX model; in {path} nothing computes the output {missing[0]!r}")


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"


def _fix(fed: Iterable[onnx.ValueInfoProto], shapes: Mapping[str, Shape], path: Path) -> None:
    """Writes the shapes into the inputs."""
    by_name = {value.name: value for value in fed}
    found = "; ".join(f"{name}: {_dims(value)}" for name, value in by_name.items()) or "none"
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in by_name:
            raise Misuse(f"expected the shape of an input of {path.name} ({found}); found one for {name!r}")
        _match(by_name[name], shape, sizes)
    for value in by_name.values():
        _fill(value, sizes)
    dynamic = [value for value in by_name.values() if not _is_static(value)]
    if dynamic:
        flags = " ".join(f"--shape {value.name}:{_dims(value, sep=',')}" for value in dynamic)
        raise Misuse(
            f"expected static shapes; {path.name} has inputs with free dimensions ({found}). "
            f"Fix them, a number for each name: {flags}"
        )


def _match(value: onnx.ValueInfoProto, shape: Shape, sizes: dict[str, int]) -> None:
    tensor = value.type.tensor_type
    if any(size < 1 for size in shape):
        raise Misuse(f"expected positive sizes for input {value.name!r}; found {shape}")
    if not tensor.HasField("shape"):
        for _ in shape:
            tensor.shape.dim.add()
    if len(shape) != len(tensor.shape.dim):
        raise Misuse(
            f"expected {len(tensor.shape.dim)} dimensions for input {value.name!r} ({_dims(value)}); "
            f"found {shape}"
        )
    for dim, size in zip(tensor.shape.dim, shape, strict=True):
        wanted = dim.dim_value if dim.HasField("dim_value") else sizes.setdefault(dim.dim_param or "", size)
        if wanted != size and (dim.dim_param or dim.HasField("dim_value")):
            raise Misuse(
                f"expected {wanted} for dimension {dim.dim_param or wanted!r} of input {value.name!r} "
                f"({_dims(value)}); found {size} in {shape}"
            )
    sizes.pop("", None)
    for dim, size in zip(tensor.shape.dim, shape, strict=True):
        dim.dim_value = size


def _fill(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> None:
    for dim in value.type.tensor_type.shape.dim:
        if dim.dim_param in sizes:
            dim.dim_value = sizes[dim.dim_param]


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and all(dim.dim_value > 0 for dim in tensor.shape.dim)


def _dims(value: onnx.ValueInfoProto, sep: str = ", ") -> str:
    if not value.type.HasField("tensor_type"):
        raise Misuse(f"expected tensors as inputs; {value.name!r} is a {value.type.WhichOneof('value')}")
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "<any>"
    named = [
        str(dim.dim_value) if dim.HasField("dim_value") else f"<{dim.dim_param or '?'}>"
        for dim in tensor.shape.dim
    ]
    return sep.join(named) or "scalar"


def _forget_dynamic(model: onnx.ModelProto, fed: list[onnx.ValueInfoProto]) -> None:
    """Drops what the file says about sizes inside, and the listing of weights among the inputs."""
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in fed]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    del model.graph.value_info[:]
    for value in model.graph.output:
        if value.type.HasField("tensor_type") and not _is_static(value):
            value.type.tensor_type.ClearField("shape")
    model.ir_version = max(model.ir_version, _FIRST_IR_WITH_CONSTANT_WEIGHTS)
