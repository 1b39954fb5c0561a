"""Plan of a model with dynamic axes: which sizes are built, how other sizes are served, and the sizes of outputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from autotune.models.dynamic_inputs import DynamicInputs, Sizes

#: The function of a library that computes the largest sizes, or the only ones.
MAIN = "main"
#: The function for all sizes that no other function computes.
FALLBACK = "main_of_any_size"


@dataclass(frozen=True, slots=True)
class Padding:
    """Evidence that inputs may be padded with zeros along an axis, and outputs cut.

    nonzero: inputs, by their order, for which that holds only unless they are zero along the whole axis: masks.
    """

    nonzero: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputDim:
    """A dimension of an output that grows with an axis: offset + (size of the axis) * rise / run."""

    output: int
    dim: int
    axis: int
    rise: int
    run: int
    offset: int

    def at(self, sizes: Sizes) -> int:
        """Its size for sizes of the axes."""
        return self.offset + sizes[self.axis] * self.rise // self.run


@dataclass(frozen=True, slots=True)
class ShapePlan:
    """Sizes of the axes that are built, and how the model is called with other ones.

    paddings: for each axis, None where padding was not found right;
    outputs:  the dimensions of outputs that depend on axes that are padded;
    variants: the sizes that are built, each with an expected duration of one run, in ascending order;
    has_fallback: whether all other sizes are computed by a build for any size, which is slow.
    """

    inputs: DynamicInputs
    paddings: tuple[Padding | None, ...]
    outputs: tuple[OutputDim, ...]
    variants: tuple[Sizes, ...]
    has_fallback: bool

    def variant_for(self, sizes: Sizes, unpadded: Collection[int] = ()) -> Sizes | None:
        """The variant that computes these sizes: their own, or else the fastest that is reached by padding.

        unpadded: axes that may not be padded. None where there is no such variant.
        """
        if sizes in self.variants:
            return sizes
        return next((one for one in self.variants if self._is_reached(one, sizes, unpadded)), None)

    def _is_reached(self, variant: Sizes, sizes: Sizes, unpadded: Collection[int]) -> bool:
        return all(
            have == wanted or (have > wanted and self.paddings[axis] is not None and axis not in unpadded)
            for axis, (have, wanted) in enumerate(zip(variant, sizes, strict=True))
        )

    def masks_of(self, axis: int) -> tuple[int, ...]:
        """The inputs that must not be zero throughout where an axis is padded."""
        padding = self.paddings[axis]
        return padding.nonzero if padding else ()

    def to_json(self) -> str:
        """The plan as a JSON document."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> ShapePlan:
        """Reads what `to_json` wrote. Raises msgspec.ValidationError for anything else."""
        return msgspec.json.decode(text, type=cls)


def function_of(plan: ShapePlan, sizes: Sizes) -> str:
    """The name of the function that computes a variant, in a module and in a library."""
    return MAIN if sizes == plan.inputs.high else f"{MAIN}_of_{'x'.join(map(str, sizes))}"
