"""A node that is rewritten: its inputs as tensors, its attributes as Python values, and refusals that name it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from autotune.models.onnx_passes.freezing_advice import freezing_advice
from autotune.models.onnx_passes.graph import Graph
from autotune.models.onnx_passes.rewriting import label
from autotune.models.onnx_passes.single_nodes import OPSET
from autotune.models.onnx_passes.tensor import Tensor
from search_spaces.errors import Misuse

# The outputs of a node in terms of other nodes; None where the node is kept as it is.
Outputs = Sequence[Tensor | None] | None
Rewrite = Callable[["Node"], Outputs]


@dataclass(frozen=True)
class Node:
    """A node of the model that is read.

    opset: the version of the node's domain that the model imports.
    """

    proto: onnx.NodeProto
    inputs: tuple[Tensor | None, ...]
    opset: int
    graph: Graph

    @property
    def operator(self) -> str:
        """The type of the node."""
        return str(self.proto.op_type)

    def __getitem__(self, place: int) -> Tensor:
        """A required input."""
        tensor = self.get(place)
        if tensor is None:
            raise self.refusal(f"has no input {place}", "Export the model again")
        return tensor

    def get(self, place: int) -> Tensor | None:
        """An optional input."""
        return self.inputs[place] if place < len(self.inputs) else None

    def has(self, place: int) -> bool:
        """True where an optional input is given."""
        return self.get(place) is not None

    def array(self, place: int, meaning: str) -> np.ndarray | None:
        """The value of an optional input that must be constant."""
        tensor = self.get(place)
        if tensor is None:
            return None
        if tensor.array is None:
            raise self.refusal(
                f"cannot be compiled: its {meaning} ({tensor.name!r}) is computed at run time",
                f"Export the model with constant {meaning}" + self.freezing_advice(tensor),
            )
        return tensor.array

    def integers(self, place: int, meaning: str) -> list[int] | None:
        """The integers of an optional input that must be constant."""
        array = self.array(place, meaning)
        return None if array is None else [int(value) for value in array.reshape(-1)]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as a Python value; strings as str."""
        for attribute in self.proto.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                if isinstance(value, bytes):
                    return value.decode()
                if isinstance(value, list) and value and isinstance(value[0], bytes):
                    return [each.decode() for each in value]
                return value
        return default

    def has_output(self, place: int) -> bool:
        """True where an output is named."""
        return place < len(self.proto.output) and bool(self.proto.output[place])

    def again(self, *inputs: Tensor | None, **attributes: Any) -> list[Tensor]:
        """The operator in its current form; the model need not be rewritten for its sake alone."""
        outputs = self.graph.add_many(self.operator, inputs, len(self.proto.output), **attributes)
        self.graph.upgraded.update(tensor.name for tensor in outputs)
        return outputs

    def part(
        self, operator: str, inputs: Sequence[Tensor | None], rewrite: Rewrite, **attributes: Any
    ) -> Tensor:
        """The result of an operator of ONNX that this node does among others, by the rewrite of that operator."""
        names = ["" if tensor is None else tensor.name for tensor in inputs]
        proto = helper.make_node(operator, names, ["part"], name=self.proto.name, **attributes)
        outputs = rewrite(Node(proto, tuple(inputs), OPSET, self.graph))
        if outputs is None:
            return self.graph.add(operator, *inputs, **attributes)
        (result,) = outputs
        assert result is not None
        return result

    def given(self, *names: str) -> dict[str, Any]:
        """The values of these attributes, without those that the node leaves out."""
        values = {name: self.attribute(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def freezing_advice(self, *tensors: Tensor) -> str:
        """The command that fixes the inputs that these are computed from; empty where these are data."""
        sizes = {name: tensor.size for name, tensor in self.graph.inputs.items()}
        return freezing_advice(self.graph.nodes, sizes, [tensor.name for tensor in tensors])

    def refusal(self, what: str, remedy: str) -> Misuse:
        """The error for a node that cannot be compiled."""
        return Misuse(f"{label(self.proto)} {what}. {remedy}", code="AT113")
