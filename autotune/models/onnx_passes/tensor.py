"""Symbolic tensors of an ONNX graph that is being built: arithmetic on them appends nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import onnx
from onnx import helper, numpy_helper

from autotune.models.onnx_passes.single_nodes import UNKNOWN

if TYPE_CHECKING:
    from autotune.models.onnx_passes.graph import Graph

Operand = Union["Tensor", int, float, bool, np.ndarray]


class Tensor:
    """A value of the graph: its name, dtype (NumPy's) and static shape; its array, where it is constant."""

    __array_ufunc__ = None  # array + tensor is a node, not an array of nodes

    def __init__(
        self,
        graph: Graph,
        name: str,
        dtype: np.dtype,
        shape: tuple[int, ...],
        constant: np.ndarray | onnx.TensorProto | None = None,
    ) -> None:
        self.graph = graph
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self._constant = constant

    @property
    def is_constant(self) -> bool:
        """True where the values are known."""
        return self._constant is not None

    @property
    def array(self) -> np.ndarray | None:
        """The values of a constant; those of a weight are read here."""
        if isinstance(self._constant, onnx.TensorProto):
            self._constant = numpy_helper.to_array(self._constant)
        return self._constant

    @array.setter
    def array(self, values: np.ndarray) -> None:
        """Makes it a constant of these values."""
        self._constant = values

    @property
    def initializer(self) -> onnx.TensorProto:
        """A constant as it is stored."""
        if isinstance(self._constant, onnx.TensorProto):
            return self._constant
        return numpy_helper.from_array(self._constant, self.name)

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """False where the first dimension depends on values."""
        return UNKNOWN not in self.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __add__(self, other: Operand) -> Tensor:
        return self.binary("Add", other)

    def __radd__(self, other: Operand) -> Tensor:
        return self.operand(other).binary("Add", self)

    def __sub__(self, other: Operand) -> Tensor:
        return self.binary("Sub", other)

    def __rsub__(self, other: Operand) -> Tensor:
        return self.operand(other).binary("Sub", self)

    def __mul__(self, other: Operand) -> Tensor:
        return self.binary("Mul", other)

    def __rmul__(self, other: Operand) -> Tensor:
        return self.operand(other).binary("Mul", self)

    def __truediv__(self, other: Operand) -> Tensor:
        return self.binary("Div", other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self.operand(other).binary("Div", self)

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.binary("MatMul", other)

    def __neg__(self) -> Tensor:
        return self.unary("Neg")

    def __lt__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.binary("Less", other)

    def __gt__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.binary("Greater", other)

    def __le__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.binary("LessOrEqual", other)

    def __ge__(self, other: Operand) -> Tensor:  # type: ignore[misc]
        return self.binary("GreaterOrEqual", other)

    def __and__(self, other: Operand) -> Tensor:
        return self.binary("And", other)

    def __or__(self, other: Operand) -> Tensor:
        return self.binary("Or", other)

    def __invert__(self) -> Tensor:
        return self.unary("Not")

    def equals(self, other: Operand) -> Tensor:
        """The elementwise comparison."""
        return self.binary("Equal", other)

    def operand(self, other: Operand) -> Tensor:
        """The tensor itself, or a constant of this tensor's dtype."""
        return other if isinstance(other, Tensor) else self.graph.constant(other, self.dtype)

    def binary(self, operator: str, other: Operand) -> Tensor:
        """The result of an operator of two tensors."""
        return self.graph.add(operator, self, self.operand(other))

    def unary(self, operator: str) -> Tensor:
        """The result of an elementwise operator without attributes."""
        return self.graph.add(operator, self)

    def cast(self, dtype: Any) -> Tensor:
        """The tensor in a dtype; itself, where it has that dtype."""
        wanted = np.dtype(dtype)
        if wanted == self.dtype:
            return self
        return self.graph.add("Cast", self, to=helper.np_dtype_to_tensor_dtype(wanted))

    def reshape(self, *shape: int) -> Tensor:
        """The tensor in another shape; -1 stands for what is left."""
        if -1 in shape:
            rest = int(np.prod([size for size in shape if size != -1], dtype=np.int64))
            shape = tuple(self.size // max(rest, 1) if size == -1 else size for size in shape)
        if tuple(shape) == self.shape:
            return self
        return self.graph.add("Reshape", self, self.graph.integers(shape), allowzero=int(0 in shape) or None)

    def transpose(self, *axes: int) -> Tensor:
        """The tensor with permuted axes."""
        return self if axes == tuple(range(self.rank)) else self.graph.add("Transpose", self, perm=list(axes))

    def swapped(self) -> Tensor:
        """Matrices with their rows as columns; a vector as it is."""
        last = self.rank - 1
        return self if last == 0 else self.transpose(*range(last - 1), last, last - 1)

    def expand(self, *shape: int) -> Tensor:
        """The tensor broadcast to a shape."""
        return (
            self if tuple(shape) == self.shape else self.graph.add("Expand", self, self.graph.integers(shape))
        )

    def slice(self, axis: int, start: int | None, stop: int | None, step: int = 1) -> Tensor:
        """The elements of an axis from start up to stop, None for all that follow."""
        length = self.shape[axis]
        picked = range(length)[slice(start, stop, step)]
        if picked == range(length):
            return self
        end = picked.stop if picked.stop >= 0 else -(1 << 62)
        bounds = [self.graph.integers([value]) for value in (picked.start, end, axis % self.rank, step)]
        return self.graph.add("Slice", self, *bounds)

    def index(self, axis: int, position: int) -> Tensor:
        """One element of an axis, without that axis."""
        position %= self.shape[axis]
        axis %= self.rank
        found = self.graph.operand_at(self, axis, position) or self.slice(axis, position, position + 1)
        return found.reshape(*self.shape[:axis], *self.shape[axis + 1 :])

    def take(self, indices: Operand | list[int], axis: int) -> Tensor:
        """The elements at these places of an axis, none of which may be negative."""
        if not isinstance(indices, Tensor):
            indices = self.graph.constant(indices, np.int64)
        return self.graph.add("Gather", self, indices, axis=axis % self.rank)

    def pad(self, pads: Sequence[tuple[int, int]], value: float = 0) -> Tensor:
        """The tensor with a constant before and after each axis; negative sizes cut off."""
        cut = self
        for axis, (before, after) in enumerate(pads):
            cut = cut.slice(axis, max(-before, 0), cut.shape[axis] + min(after, 0))
        sizes = [max(before, 0) for before, _ in pads] + [max(after, 0) for _, after in pads]
        if not any(sizes):
            return cut
        return self.graph.add("Pad", cut, self.graph.integers(sizes), self.graph.constant(value, self.dtype))

    def reduce(self, operator: str, axes: Iterable[int], keepdims: int = 1) -> Tensor:
        """The reduction over axes by ReduceSum, ReduceMean, ReduceMax, ReduceMin or ReduceProd."""
        reduced = sorted(axis % self.rank for axis in axes)
        if not reduced:
            return self
        return self.graph.add(operator, self, self.graph.integers(reduced), keepdims=keepdims)

    def sum(self, axes: Iterable[int], keepdims: int = 1) -> Tensor:
        """The sum over axes."""
        return self.reduce("ReduceSum", axes, keepdims)

    def mean(self, axes: Iterable[int], keepdims: int = 1) -> Tensor:
        """The mean over axes."""
        return self.reduce("ReduceMean", axes, keepdims)

    def clip(self, low: float, high: float) -> Tensor:
        """The values within bounds."""
        return self.clipped(self.operand(low), self.operand(high))

    def clipped(self, low: Tensor | None, high: Tensor | None) -> Tensor:
        """The values within bounds, each of which may be missing. TVM cannot do so for bfloat16."""
        if self.dtype.name != "bfloat16":
            return self.graph.add("Clip", self, low, high)
        wide = [None if bound is None else bound.cast(np.float32) for bound in (low, high)]
        return self.cast(np.float32).clipped(*wide).cast(self.dtype)
