"""An ONNX graph that is being built: its nodes in order, and what is known of each value."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from autotune.models.onnx_passes.single_nodes import computed, output_types
from autotune.models.onnx_passes.tensor import Tensor

# A constant result up to this size is computed at once; a larger one is left to the graph.
_MAX_FOLDED_ELEMENTS = 1 << 26
# What depends on constants alone is computed while the model is built, and stored in it.
_MAX_CONSTANT_BYTES = 1 << 30
# Masks of attention hold infinities; weights do not.
_MAX_MASK_ELEMENTS = 1 << 20


class OversizedConstant(Exception):
    """A result that depends on constants alone, and that is too large to be stored: its size in bytes."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__(f"a constant of {num_bytes / (1 << 30):.1f} GiB")
        self.num_bytes = num_bytes


class Graph:
    """The nodes and constants of a graph, in order; the dtype and shape of each value are known."""

    def __init__(self, scope: str = "", names: Iterable[str] = ()) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        self.scope = scope
        # The outputs of nodes that are as the model has them, but for the version of their operator.
        self.upgraded: set[str] = set()
        self._taken = set(names)
        self._numbers = itertools.count()
        self._infinite: dict[str, bool] = {}
        # The axis and the operands of concatenations.
        self._joined: dict[str, tuple[int, Sequence[Tensor]]] = {}
        # The results that depend on constants alone, and that the graph computes.
        self._grown: set[str] = set()

    @property
    def has_infinity(self) -> bool:
        """True where a constant that is read so far, and that is no weight by its size, holds an infinity."""
        return any(self._is_infinite(tensor) for tensor in self.constants.values())

    def _is_infinite(self, tensor: Tensor) -> bool:
        if tensor.name not in self._infinite:
            is_small = tensor.dtype.kind == "f" and tensor.size <= _MAX_MASK_ELEMENTS
            array = tensor.array if is_small else None
            self._infinite[tensor.name] = array is not None and bool(np.isinf(array).any())
        return self._infinite[tensor.name]

    def fresh(self, hint: str) -> str:
        """A name that no value of the graph has, below the name of the node that is rewritten."""
        while True:
            name = f"{self.scope}/{hint}_{next(self._numbers)}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def check_room(self, num_bytes: int) -> None:
        """Raises OversizedConstant for a constant that is larger than any network needs."""
        if num_bytes > _MAX_CONSTANT_BYTES:
            raise OversizedConstant(num_bytes)

    def constant(self, value: Any, dtype: Any = None) -> Tensor:
        """A constant of the graph."""
        array = np.asarray(value) if dtype is None else np.asarray(value).astype(dtype)
        return Tensor(self, self.fresh("constant"), array.dtype, array.shape, array)

    def integers(self, values: Iterable[int]) -> Tensor:
        """A constant vector of int64: a shape, axes, pads."""
        return self.constant(list(values), np.int64)

    def add(self, operator: str, *inputs: Tensor | None, **attributes: Any) -> Tensor:
        """Appends a node with one output."""
        return self.add_many(operator, inputs, 1, **attributes)[0]

    def add_many(
        self, operator: str, inputs: Sequence[Tensor | None], count: int, **attributes: Any
    ) -> list[Tensor]:
        """Appends a node with several outputs; see `append`."""
        names = ["" if tensor is None else tensor.name for tensor in inputs]
        outputs = [self.fresh(operator.lower()) for _ in range(count)]
        node = helper.make_node(operator, names, outputs, name=outputs[0], **attributes)
        return self.append(node, inputs)

    def append(self, node: onnx.NodeProto, inputs: Sequence[Tensor | None]) -> list[Tensor]:
        """Appends a node in the form of the operator set of rewritten graphs; its named outputs.

        A result of constants only is computed at once.
        """
        given = {tensor.name: tensor for tensor in inputs if tensor is not None}
        types = output_types(node, given)
        results = [Tensor(self, name, *types[name]) for name in node.output if name]
        return self._folded(node, given, results) or self._appended(node, given, results)

    def operand_at(self, joined: Tensor, axis: int, place: int) -> Tensor | None:
        """The operand of a concatenation along this axis that is its one element at a place; None elsewhere."""
        own, operands = self._joined.get(joined.name, (axis, ()))
        if own != axis or any(one.shape[axis] != 1 for one in operands):
            return None
        return operands[place] if operands else None

    def _folded(self, node: onnx.NodeProto, given: dict[str, Tensor], results: list[Tensor]) -> list[Tensor]:
        """Constants for the results, if these are small and depend on constants alone; else nothing."""
        # Without inputs a result may be random.
        is_known = bool(given) and all(tensor.is_constant for tensor in given.values())
        if not is_known or sum(result.size for result in results) > _MAX_FOLDED_ELEMENTS:
            return []
        arrays = {name: tensor.array for name, tensor in given.items() if tensor.array is not None}
        return [
            self.constant(np.asarray(array).astype(result.dtype).reshape(result.shape))
            for result, array in zip(results, computed(node, arrays), strict=True)
        ]

    def _appended(
        self, node: onnx.NodeProto, given: dict[str, Tensor], results: list[Tensor]
    ) -> list[Tensor]:
        if all(result.is_static and result.size == 0 for result in results):
            for result in results:
                result.array = np.zeros(result.shape, result.dtype)
            return results
        if all(tensor.is_constant or tensor.name in self._grown for tensor in given.values()):
            self.check_room(sum(result.size * result.dtype.itemsize for result in results))
            self._grown.update(result.name for result in results)
        self.use(*given.values())
        self.nodes.append(node)
        if node.op_type == "Concat":
            [axis] = (attribute.i for attribute in node.attribute if attribute.name == "axis")
            self._joined[results[0].name] = axis % results[0].rank, [given[name] for name in node.input]
        return results

    def use(self, *tensors: Tensor) -> None:
        """Keeps the arrays of constants that a node or an output reads."""
        for tensor in tensors:
            if tensor.is_constant:
                self.constants[tensor.name] = tensor
