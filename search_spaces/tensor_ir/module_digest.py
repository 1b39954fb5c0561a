"""A digest of what a TVM module computes, whatever its parts are called (imports TVM)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tvm
import tvm_ffi

# Names, source positions, and what the body already says (a block's read and write regions).
_COSMETIC = frozenset(
    {"span", "name", "name_hint", "reads", "writes", "ret_type", "layout", "allocated_addr", "ty"}
)
# Expressions whose own type is not told by their parts.
_TYPED = frozenset({"Cast", "Call"})
# Of a function's attributes, those that say how it was made rather than what it computes.
_COSMETIC_ATTRS = frozenset(
    {"global_symbol", "op_pattern", "tirx.noalias", "s_tir", "tirx.is_scheduled", "target"}
)
# How a pooling or convolution may be scheduled is TVM's hint, not the operator.
_COSMETIC_ANNOTATIONS = frozenset({"schedule_rule"})
# TVM renames node types between versions; the digest keeps the first name it knew.
_ALIASES = {"TensorLoad": "BufferLoad", "TensorRegion": "BufferRegion"}
# Arithmetic that TVM folds where an operand is 0 or 1.
_FOLDED = frozenset({"Add", "Sub", "Mul", "Div"})
# The two operands of arithmetic and comparisons.
_OPERANDS = {"a": "b", "b": "a"}
_LOADS = frozenset({"BufferLoad", "ProducerLoad"})
# Scalars that lowering writes itself: initial values, the bound of a rectifier. All others are a network's own, and
# change as it is trained.
_LARGEST = [float(np.finfo(name).max) for name in ("float16", "float32", "float64")]
_OF_LOWERING = frozenset({0.0, math.inf, -math.inf, *_LARGEST, *(-value for value in _LARGEST)})
# Integers of these types are indices as well; those of others are data.
_INDEX_TYPES = frozenset({"int32", "int64", "bool"})


def digest(func: tvm.tirx.PrimFunc) -> str:
    """32 hex digits for one function: blind to the names of variables, buffers, blocks and functions, to source
    spans, to the width of loop indices and to scalars that are computed with data, which training changes; different
    for different shapes, dtypes, layouts, loops or arithmetic.

    Ours because TVM's structural hash differs from version to version.
    """
    walk = _Walk()
    walk.visit(func)
    return walk.sha.hexdigest()[:32]


def structure(func: tvm.tirx.PrimFunc) -> tuple[str, tuple[int, ...]]:
    """A digest of a function without its sizes: the same for every shape of one operator, and
    the sizes, strides and offsets it is blind to, in the order in which they occur.

    It has no arithmetic of data with scalars either, which TVM leaves out where the scalar is 0 or 1.
    """
    walk = _SizelessWalk()
    walk.visit(func)
    return walk.sha.hexdigest()[:32], tuple(walk.sizes)


class _Walk:
    """One traversal: feeds a hash, and numbers variables in the order of their first visit."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.numbers: dict[Any, int] = {}
        self._index_depth = 0
        self._data: dict[Any, bool] = {}

    def emit(self, token: str) -> None:
        self.sha.update(token.encode())
        self.sha.update(b"\0")

    def integer(self, value: int) -> None:
        self.emit(f"int:{value}")

    def visit(self, node: Any) -> None:
        if node is None or isinstance(node, bool | int | float | str):
            self.emit(f"{type(node).__name__}:{node}")
        elif isinstance(node, tvm.tirx.IntImm | tvm.tirx.FloatImm):
            self._immediate(node)
        elif isinstance(node, tvm.ir.Var):
            self._variable(node)
        elif isinstance(node, tvm.ir.GlobalVar):
            self.emit("function")
        elif isinstance(node, tvm.ir.Op):
            self.emit(f"op:{node.name}")
        elif isinstance(node, tvm.ir.PrimType):
            self.emit(f"dtype:{node.dtype}")
        elif isinstance(node, tvm.ir.DictAttrs):
            self._mapping(dict(node), _COSMETIC_ATTRS)
        elif isinstance(node, tvm_ffi.Map):
            self._mapping(dict(node.items()), _COSMETIC_ANNOTATIONS)
        elif isinstance(node, tvm_ffi.Array):
            self.emit(f"array:{len(node)}")
            for item in node:
                self.visit(item)
        else:
            self._fields(node)

    def _immediate(self, node: Any) -> None:
        # Indices are int64 from Relax and int32 from TE; the buffers already carry the dtypes of the data.
        if str(node.ty.dtype) in _INDEX_TYPES:
            self.integer(int(node.value))
        else:
            self._scalar(node)

    def _scalar(self, node: Any) -> None:
        """A number that is computed with data: its value only where lowering has put it there."""
        value = node.value
        known = float(value) in _OF_LOWERING
        self.emit(
            f"{'float' if isinstance(node, tvm.tirx.FloatImm) else 'int'}:{value!r}" if known else "scalar"
        )

    def _operand(self, node: Any, other: Any) -> None:
        """One of the two operands of arithmetic or a comparison."""
        self._scalar(node) if self._is_data(node, other) else self.visit(node)

    def _is_data(self, node: Any, other: Any) -> bool:
        """Whether an operand is an integer that is computed with data, unless both make an index."""
        return isinstance(node, tvm.tirx.IntImm) and not self._index_depth and self._reads_data(other)

    def _reads_data(self, node: Any) -> bool:
        """Whether an expression is computed from the elements of a buffer."""
        known = self._data.get(node)
        if known is None:
            known = self._data[node] = _kind(node) in _LOADS or any(
                self._reads_data(inner) for inner in _inner_expressions(node)
            )
        return known

    def _variable(self, var: Any) -> None:
        number = self.numbers.get(var)
        if number is not None:
            self.emit(f"var:{number}")
            return
        number = self.numbers[var] = len(self.numbers)
        self.emit(f"new:{number}")
        if isinstance(var.ty, tvm.tirx.BufferType):
            self._fields(var.ty)

    def _mapping(self, mapping: dict[Any, Any], cosmetic: frozenset[str]) -> None:
        for key, value in sorted((str(key), value) for key, value in mapping.items()):
            if key in cosmetic or (isinstance(value, tvm_ffi.Array) and len(value) == 0):
                continue
            self.emit(f"key:{key}")
            self.visit(value)

    def _fields(self, node: Any) -> None:
        """Any other node: its kind, then its fields, as TVM's own reflection lists them."""
        kind, fields = _kind(node), dict(_fields_of(node))
        if kind == "Sub" and self._is_data(node.b, node.a):
            kind = "Add"  # TVM writes the sum with a negative scalar as a difference
        self.emit(f"node:{kind}")
        if kind in _TYPED:
            self.visit(node.ty)
        for name, value in fields.items():
            self.emit(name)
            if name in _OPERANDS and _OPERANDS[name] in fields:
                self._operand(value, fields[_OPERANDS[name]])
            elif name == "indices":
                self._index_depth += 1
                self.visit(value)
                self._index_depth -= 1
            else:
                self.visit(value)


def _kind(node: Any) -> str:
    """The kind of a node by the first name that it had."""
    kind = str(type(node).__tvm_ffi_type_info__.type_key).rsplit(".", 1)[-1]
    return _ALIASES.get(kind, kind)


def _fields_of(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of a node's fields, as TVM's own reflection lists them, without the cosmetic ones."""
    info = type(node).__tvm_ffi_type_info__
    while info is not None:
        for field in info.fields:
            if field.name not in _COSMETIC and field.c_structural_eq != "ignore":
                yield field.name, getattr(node, field.name)
        info = info.parent_type_info


def _inner_expressions(node: Any) -> Iterator[Any]:
    for _, value in _fields_of(node):
        inner = value if isinstance(value, tvm_ffi.Array) else (value,)
        yield from (each for each in inner if isinstance(each, tvm.ir.Expr))


class _SizelessWalk(_Walk):
    """A traversal that keeps the numbers in the program out of the hash, and what is done to data with one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def integer(self, value: int) -> None:
        self.emit("int")
        self.sizes.append(value)

    def _scalar(self, node: Any) -> None:
        self.emit("scalar")

    def _fields(self, node: Any) -> None:
        data = self._beside_scalar(node)
        super()._fields(node) if data is None else self.visit(data)

    def _beside_scalar(self, node: Any) -> Any:
        """The other operand of arithmetic of data with a scalar, None where a node is anything else."""
        if _kind(node) not in _FOLDED:
            return None
        for scalar, data in ((node.a, node.b), (node.b, node.a)):
            is_float = isinstance(scalar, tvm.tirx.FloatImm) and self._reads_data(data)
            if is_float or self._is_data(scalar, data):
                return data
        return None
