"""Signature of a served model: its name, version, and tensors in the protocol's words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .datatypes import DTYPES, datatype_of

Array = npt.NDArray[Any]


class Model(Protocol):
    """A model as it is called, by one thread at a time."""

    def run(self, *values: Array) -> Array | tuple[Array, ...]:
        """The outputs for inputs in order: an array, or a tuple where there are several."""
        ...


class Spec(Protocol):
    """An input or output as a package describes it.

    shape: at the largest sizes; sizes: of an input with ranges of sizes, as texts: ("1..8", "3"), empty elsewhere.
    """

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        ...

    @property
    def dtype(self) -> str:
        """Its dtype in NumPy's words."""
        ...

    @property
    def sizes(self) -> tuple[str, ...]:
        """Its ranges of sizes."""
        ...


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output; shape: -1 where the size varies; largest: the shape at the largest sizes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    largest: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its dtype."""
        return np.dtype(DTYPES[self.datatype])

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a shape is one of this tensor's, as far as the fixed sizes say."""
        return len(shape) == len(self.shape) and all(
            found == size or (size == -1 and found > 0) for found, size in zip(shape, self.shape, strict=True)
        )

    def metadata(self) -> dict[str, object]:
        """The protocol's $metadata_tensor."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """The name and version of a model, and its tensors in order."""

    model: str
    version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def metadata(self) -> dict[str, object]:
        """The protocol's $metadata_model_response."""
        return {
            "name": self.model,
            "versions": [self.version],
            "platform": "autotune_tvm",
            "inputs": [one.metadata() for one in self.inputs],
            "outputs": [one.metadata() for one in self.outputs],
        }

    def largest_inputs(self) -> tuple[Array, ...]:
        """Inputs of zeros at the largest sizes."""
        return tuple(np.zeros(one.largest, one.dtype) for one in self.inputs)

    def body_bytes(self) -> int:
        """Room for a request with all inputs as JSON: 32 characters an element, and a mebibyte for the rest."""
        return 32 * sum(math.prod(one.largest) for one in self.inputs) + (1 << 20)


def signature(name: str, version: str, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> Signature:
    """The signature of a package. Raises ValueError where the protocol lacks a dtype."""
    varies = any(_is_range(size) for spec in inputs for size in spec.sizes)
    return Signature(
        name,
        version,
        tuple(_tensor(spec, tuple(map(_is_range, spec.sizes))) for spec in inputs),
        # Which of their sizes follow from those of the inputs is not known.
        tuple(_tensor(spec, (varies,) * len(spec.shape)) for spec in outputs),
    )


def _tensor(spec: Spec, varies: tuple[bool, ...]) -> Tensor:
    sizes = zip(spec.shape, varies or (False,) * len(spec.shape), strict=True)
    shape = tuple(-1 if is_range else size for size, is_range in sizes)
    return Tensor(spec.name, datatype_of(spec.dtype), shape, spec.shape)


def _is_range(size: str) -> bool:
    return not size.isdecimal()
