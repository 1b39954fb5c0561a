"""Dynamic axes of a model in a file, and the file with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from autotune.models import onnx_file
from autotune.models.dynamic_inputs import DynamicAxis, DynamicInputs
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import FixedSizes
from autotune.models.size_range import Size, SizeRange, largest
from search_spaces.errors import Misuse


def read_dynamic_inputs(
    path: Path, shapes: Mapping[str, tuple[Size, ...]], dims: Mapping[str, Size]
) -> tuple[DynamicInputs, tuple[str, ...]]:
    """The inputs of a file with ranges for some of its free dimensions, and notices, see `onnx_file.read_with_notices`.

    Dimensions of one name are one axis. Raises Misuse as that does, where a dimension has two ranges, and for files of
    other formats than ONNX.
    """
    if format_of(path) is not ModelFormat.ONNX:
        raise Misuse(
            f"expected an ONNX file for a range of sizes; found {path.name}. Name one size for each dimension, or "
            "export the model as .onnx",
            code="AT105",
        )
    free = onnx_file.free_dimensions(path)
    ranges: dict[str, SizeRange] = {}
    for name, size in _given(shapes, dims, free):
        if isinstance(size, SizeRange) and ranges.setdefault(name, size) != size:
            raise Misuse(
                f"expected one range for dimension {name!r}; found {ranges[name]} and {size}", code="AT105"
            )
    fixed = FixedSizes(
        {name: tuple(map(largest, shape)) for name, shape in shapes.items()},
        {name: largest(size) for name, size in dims.items()},
    )
    model, notices = onnx_file.read_with_notices(path, fixed)
    specs = onnx_file.inputs(model)
    places: dict[str, list[tuple[int, int]]] = {name: [] for name in ranges}
    for number, spec in enumerate(specs):
        for dim in range(len(spec.shape)):
            name = _axis_name(spec.name, dim, free)
            if name in places:
                places[name].append((number, dim))
    axes = [DynamicAxis(name, sizes, tuple(places[name])) for name, sizes in ranges.items()]
    return DynamicInputs(specs, tuple(sorted(axes, key=lambda axis: axis.places[0]))), notices


def read_with_free_axes(path: Path, inputs: DynamicInputs) -> onnx.ModelProto:
    """The model in the file as `onnx_file.read` returns it, but for the axes, which are dimensions by their names."""
    model = onnx_file.read(path, inputs.shapes_at(inputs.high))
    for axis in inputs.axes:
        for number, dim in axis.places:
            model.graph.input[number].type.tensor_type.shape.dim[dim].dim_param = axis.name
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def _given(
    shapes: Mapping[str, tuple[Size, ...]],
    dims: Mapping[str, Size],
    free: Mapping[str, tuple[str | None, ...]],
) -> list[tuple[str, Size]]:
    """The sizes by the names of axes."""
    by_place = [
        (_axis_name(name, dim, free), size)
        for name, shape in shapes.items()
        for dim, size in enumerate(shape)
    ]
    return [*dims.items(), *by_place]


def _axis_name(name: str, dim: int, free: Mapping[str, tuple[str | None, ...]]) -> str:
    """The name of a free dimension in the file, or the input's with the dimension's number."""
    known = free.get(name, ())
    return (known[dim] if dim < len(known) else None) or f"{name}[{dim}]"
