"""The shapes of a model's inputs: which dimensions are free, and what fixes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from autotune.models.input_spec import Shape
from search_spaces.errors import Misuse

# Names that exporters give to the number of samples; a free dimension without a name counts where it is the first.
_BATCH_NAMES = ("batch", "batch_size", "batchsize", "batch_dim", "bs", "b", "n", "num_batch", "batch_axis")
# What exporters write for a dimension without a name.
_NO_NAMES = ("", "?", "-1", "None")
# Names that exporters number: of torch.export, of torch.onnx.export, of Paddle and of TensorFlow.
_NUMBERED_NAME = re.compile(r"[su]\d+|.*dynamic_axes_\d+|.*DynamicDimension\.\d+|unk__\d+")
#: TVM indexes with 32 bits in places.
_MAX_SIZE = 2**31 - 1


@dataclass(frozen=True)
class FixedSizes:
    """Sizes for free dimensions, as given by the user.

    shapes: the whole shape of an input, by its name.
    dims:   the size of all dimensions of a name.
    """

    shapes: Mapping[str, Shape]
    dims: Mapping[str, int]


def fix(fed: Iterable[onnx.ValueInfoProto], fixed: FixedSizes, file: str) -> tuple[str, ...]:
    """Writes a size into each dimension of the inputs, and returns notices of those that nobody chose.

    Dimensions of one name have one size. A free first dimension that is called like a batch, or by a number, or is
    not called anything, becomes 1 with a notice. Raises Misuse for sizes that do not match the inputs, and for
    dimensions that are still free.
    """
    by_name = {value.name: value for value in fed}
    found = "; ".join(f"{name}: {shown(value)}" for name, value in by_name.items()) or "none"
    sizes = _sizes(by_name.values(), fixed.dims, file, found)
    for name, shape in fixed.shapes.items():
        if name not in by_name:
            raise Misuse(
                f"expected the shape of an input of {file} ({found}); found one for {name!r}", code="AT105"
            )
        _match(by_name[name], shape, sizes)
    for value in by_name.values():
        _fill(value, sizes)
    notices = _single_batches(by_name.values())
    dynamic = [value for value in by_name.values() if not is_static(value)]
    if dynamic:
        flags = " ".join(f"--shape {value.name}:{shown(value, sep=',')}" for value in dynamic)
        raise Misuse(
            f"expected static shapes; {file} has inputs with free dimensions ({found}). "
            f"Fix them, a number for each name: {flags}",
            code="AT104",
        )
    for value in by_name.values():
        _check_size(value, file)
    return notices


def is_static(value: onnx.ValueInfoProto) -> bool:
    """Whether every dimension has a size."""
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and not any(map(_is_free, tensor.shape.dim))


def free_names(value: onnx.ValueInfoProto) -> tuple[str | None, ...]:
    """The name of each free dimension; None for a fixed one and for a free one without a name."""
    dims = value.type.tensor_type.shape.dim
    return tuple((_name(dim) or None) if _is_free(dim) else None for dim in dims)


def shown(value: onnx.ValueInfoProto, sep: str = ", ") -> str:
    """The shape of an input with its free dimensions in angle brackets. Raises Misuse where it is no tensor."""
    if not value.type.HasField("tensor_type"):
        raise Misuse(
            f"expected tensors as inputs; {value.name!r} is a {value.type.WhichOneof('value')}", code="AT105"
        )
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "<any>"
    named = [f"<{_name(dim) or '?'}>" if _is_free(dim) else str(dim.dim_value) for dim in tensor.shape.dim]
    return sep.join(named) or "scalar"


def _is_free(dim: onnx.TensorShapeProto.Dimension) -> bool:
    """Whether a dimension has a name, nothing, or what old exporters write for any size: 0 or a negative number."""
    return not dim.HasField("dim_value") or dim.dim_value <= 0


def _name(dim: onnx.TensorShapeProto.Dimension) -> str:
    return "" if dim.dim_param in _NO_NAMES else str(dim.dim_param)


def _sizes(
    values: Iterable[onnx.ValueInfoProto], dims: Mapping[str, int], file: str, found: str
) -> dict[str, int]:
    """The sizes by name. Raises Misuse for a name that no free dimension has, and for sizes below 1."""
    names = {_name(dim) for value in values for dim in value.type.tensor_type.shape.dim if _is_free(dim)}
    for name, size in dims.items():
        if name not in names or not name:
            raise Misuse(
                f"expected the name of a free dimension of {file} ({found}); found {name!r}", code="AT105"
            )
        if not 1 <= size <= _MAX_SIZE:
            raise Misuse(
                f"expected a size from 1 to {_MAX_SIZE} for dimension {name!r}; found {size}", code="AT105"
            )
    return dict(dims)


def _match(value: onnx.ValueInfoProto, shape: Shape, sizes: dict[str, int]) -> None:
    """Writes a whole shape into an input, and notes the sizes of named dimensions."""
    tensor = value.type.tensor_type
    if any(size < 1 for size in shape):
        raise Misuse(f"expected positive sizes for input {value.name!r}; found {shape}", code="AT105")
    if not tensor.HasField("shape"):
        tensor.shape.SetInParent()
        for _ in shape:
            tensor.shape.dim.add()
    if len(shape) != len(tensor.shape.dim):
        raise Misuse(
            f"expected {len(tensor.shape.dim)} dimensions for input {value.name!r} ({shown(value)}); found {shape}",
            code="AT105",
        )
    for dim, size in zip(tensor.shape.dim, shape, strict=True):
        name = _name(dim)
        wanted = (
            sizes.setdefault(name, size)
            if name and _is_free(dim)
            else size
            if _is_free(dim)
            else dim.dim_value
        )
        if wanted != size:
            raise Misuse(
                f"expected {wanted} for dimension {name or wanted!r} of input {value.name!r} "
                f"({shown(value)}); found {size} in {shape}",
                code="AT105",
            )
    for dim, size in zip(tensor.shape.dim, shape, strict=True):
        dim.dim_value = size


def _fill(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> None:
    for dim in value.type.tensor_type.shape.dim:
        if _is_free(dim) and _name(dim) in sizes:
            dim.dim_value = sizes[_name(dim)]


def _single_batches(values: Iterable[onnx.ValueInfoProto]) -> tuple[str, ...]:
    """Fixes free batch sizes to 1, and says so."""
    notices = []
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if dims and _is_free(dims[0]) and _is_of_batches(_name(dims[0])):
            name, shape = _name(dims[0]), shown(value, sep=",").split(",")
            dims[0].dim_value = 1
            choice = " ".join(["--shape", f"{value.name}:{','.join(['N', *shape[1:]])}"])
            notices.append(
                f"the batch size of input {value.name!r} is free ({name or 'its first dimension has no name'}): "
                f"taken as 1. Choose another one with {f'--dim {name}=N or ' if name else ''}{choice}"
            )
    return tuple(notices)


def _is_of_batches(name: str) -> bool:
    """Whether the name of a first dimension is a batch's, or says nothing."""
    return name.lower() in ("", *_BATCH_NAMES) or _NUMBERED_NAME.fullmatch(name) is not None


def _check_size(value: onnx.ValueInfoProto, file: str) -> None:
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if math.prod(sizes) > _MAX_SIZE:
        raise Misuse(
            f"expected inputs of up to {_MAX_SIZE} elements; input {value.name!r} of {Path(file).name} has the shape "
            f"{tuple(sizes)}. Export the model for smaller inputs",
            code="AT105",
        )
