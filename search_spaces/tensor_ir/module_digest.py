"""A digest of what a TVM module computes, whatever its parts are called (imports TVM)."""

from __future__ import annotations

import hashlib
from typing import Any

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


def digest(func: tvm.tirx.PrimFunc) -> str:
    """32 hex digits for one function: blind to the names of variables, buffers, blocks and functions, to source
    spans and to the width of loop indices; different for different shapes, dtypes, layouts, loops or arithmetic.

    Ours because TVM's structural hash differs from version to version.
    """
    walk = _Walk()
    walk.visit(func)
    return walk.sha.hexdigest()[:32]


def structure(func: tvm.tirx.PrimFunc) -> tuple[str, tuple[int, ...]]:
    """A digest of a function without its sizes: the same for every shape of one operator, and
    the sizes, strides and offsets it is blind to, in the order in which they occur."""
    walk = _SizelessWalk()
    walk.visit(func)
    return walk.sha.hexdigest()[:32], tuple(walk.sizes)


class _Walk:
    """One traversal: feeds a hash, and numbers variables in the order of their first visit."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.numbers: dict[Any, int] = {}

    def emit(self, token: str) -> None:
        self.sha.update(token.encode())
        self.sha.update(b"\0")

    def integer(self, value: int) -> None:
        self.emit(f"int:{value}")

    def visit(self, node: Any) -> None:
        if node is None or isinstance(node, bool | int | float | str):
            self.emit(f"{type(node).__name__}:{node}")
        elif isinstance(node, tvm.tirx.IntImm):
            # Indices are int64 from Relax and int32 from TE; the buffers already carry the dtypes of the data.
            self.integer(int(node.value))
        elif isinstance(node, tvm.tirx.FloatImm):
            self.emit(f"float:{node.value!r}")
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
        info = type(node).__tvm_ffi_type_info__
        kind = str(info.type_key).rsplit(".", 1)[-1]
        self.emit(f"node:{_ALIASES.get(kind, kind)}")
        if kind in _TYPED:
            self.visit(node.ty)
        while info is not None:
            for field in info.fields:
                if field.name not in _COSMETIC and field.c_structural_eq != "ignore":
                    self.emit(field.name)
                    self.visit(getattr(node, field.name))
            info = info.parent_type_info


class _SizelessWalk(_Walk):
    """A traversal that keeps the numbers in the program out of the hash."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def integer(self, value: int) -> None:
        self.emit("int")
        self.sizes.append(value)
