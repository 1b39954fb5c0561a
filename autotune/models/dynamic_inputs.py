"""Dynamic axes of a model: dimensions whose sizes differ from call to call, and where the inputs have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotune.models.input_spec import InputSpec, Shape
from autotune.models.size_range import SizeRange

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
