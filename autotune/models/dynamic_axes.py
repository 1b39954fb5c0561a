"""Dynamic axes of a model: dimensions whose sizes differ from call to call, and where the inputs have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from autotune.models import onnx_file
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import FixedSizes, InputSpec, Shape
from autotune.models.size_range import Size, SizeRange, largest
from search_spaces.errors import Misuse

#: A size of each axis.
Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DynamicAxis:
    """A dimension with a range of sizes; places: the inputs, by their order, and the dimensions that have its size."""

    name: str
    sizes: SizeRange
    places: tuple[tuple[int, int], ...]

    def place_in(self, number: int) -> int | None:
        """The dimension of an input that has the axis' size, None where none has."""
        return next((dim for given, dim in self.places if given == number), None)


@dataclass(frozen=True, slots=True)
class DynamicInputs:
    """The inputs of a model with dynamic axes.

    largest: the inputs with every axis at the end of its range; axes: in the order in which the inputs have them.
    """

    largest: tuple[InputSpec, ...]
    axes: tuple[DynamicAxis, ...]

    @property
    def low(self) -> Sizes:
        """The smallest size of each axis."""
        return tuple(axis.sizes.low for axis in self.axes)

    @property
    def high(self) -> Sizes:
        """The largest size of each axis."""
        return tuple(axis.sizes.high for axis in self.axes)

    def at(self, sizes: Sequence[int]) -> tuple[InputSpec, ...]:
        """The inputs with these sizes of the axes."""
        shapes = [list(spec.shape) for spec in self.largest]
        for axis, size in zip(self.axes, sizes, strict=True):
            for number, dim in axis.places:
                shapes[number][dim] = size
        return tuple(
            InputSpec(spec.name, tuple(shape), spec.dtype)
            for spec, shape in zip(self.largest, shapes, strict=True)
        )

    def shapes_at(self, sizes: Sequence[int]) -> dict[str, Shape]:
        """The shapes of the inputs by name, with these sizes of the axes."""
        return {spec.name: spec.shape for spec in self.at(sizes)}

    def __str__(self) -> str:
        texts = [list(map(str, spec.shape)) for spec in self.largest]
        for axis in self.axes:
            for number, dim in axis.places:
                texts[number][dim] = str(axis.sizes)
        return "; ".join(
            f"{spec.name}:{','.join(text)} {spec.dtype}"
            for spec, text in zip(self.largest, texts, strict=True)
        )


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
