"""TVM modules of one operator as durable values: text, signature, workload (imports TVM)."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from search_spaces.errors import AutotuneError, Misuse, last_line
from search_spaces.target import Target
from search_spaces.tensor_ir.tvm_version import check_tvm_version
from search_spaces.workload import Workload

check_tvm_version()

import tvm  # noqa: E402 - the wrong pair of packages crashes later, so it is refused before it loads
from tvm.s_tir.analysis import estimate_tir_flops  # noqa: E402
from tvm.s_tir.meta_schedule.tune_context import _normalize_mod  # noqa: E402

from search_spaces.tensor_ir.module_digest import digest  # noqa: E402
from search_spaces.tensor_ir.vector_math import register_vector_math  # noqa: E402
from search_spaces.tensor_ir.word_instructions import (  # noqa: E402
    register_word_products,
    with_counted_products,
)

# Before anything is compiled or read, in workers as in builds.
register_vector_math()
register_word_products()

_PREFIX = "zlib64:"
# The attribute of a GPU's target that names the triple of its host.
_HOST = "host"
_ARRAY, _FLOAT = "ffi.Array", "ir.FloatImm"
# Fields of numbers, which are no references, and those that TVM leaves empty.
_PLAIN = frozenset(
    {
        *("data_alignment", "iter_type", "kind", "ndim", "offset_factor", "purity"),
        # Of the places in a script that its nodes were read from.
        *("line", "column", "end_line", "end_column"),
    }
)
_OPTIONAL = _PLAIN | {
    *("attrs", "derive_func", "else_case", "init", "layout", "span", "step", "thread_binding", "vdevice"),
}
# TVM's IterVarType of a loop that is bound to a thread.
_THREAD_INDEX = 1
# A workload is some 30 KB of JSON; far more than this is damage or malice.
_MAX_MODULE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One parameter of an operator: its shape, its dtype, and what part it plays.

    is_layout_free: a constant weight whose layout a schedule may choose.
    """

    shape: tuple[int, ...]
    dtype: str
    is_output: bool
    is_layout_free: bool


def normalize(module: tvm.IRModule | tvm.tirx.PrimFunc) -> tvm.IRModule:
    """The module with its one function called "main", as MetaSchedule's databases look it up.

    Raises Misuse where there is not exactly one TIR function.
    """
    if isinstance(module, tvm.tirx.PrimFunc):
        return _normalize_mod(module)
    functions = list(module.functions.values())
    if len(functions) != 1 or not isinstance(functions[0], tvm.tirx.PrimFunc):
        raise Misuse(
            f"expected a module with exactly one PrimFunc; found {len(functions)} functions", code="AT110"
        )
    return _normalize_mod(functions[0])


def dump(module: tvm.IRModule) -> str:
    """Text that rebuilds the module: TVM's JSON, deflated, in base64 behind a prefix."""
    return _PREFIX + base64.b64encode(zlib.compress(tvm.ir.save_json(module).encode(), 9)).decode()


def load(text: str) -> tvm.IRModule:
    """The module that `dump` wrote. Reads data only; raises AutotuneError where it is damaged."""
    try:
        if not text.startswith(_PREFIX):
            raise ValueError(f"expected text that starts with {_PREFIX!r}")
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text[len(_PREFIX) :], validate=True), _MAX_MODULE_BYTES)
        if inflate.unconsumed_tail or not inflate.eof:
            raise ValueError(f"the module is cut short or larger than {_MAX_MODULE_BYTES} bytes")
        _check_nodes(json.loads(data))
        module = tvm.ir.load_json(data.decode())
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError, zlib.error) as error:
        raise AutotuneError(
            f"expected the text of a workload's module, found damage: {error}", code="AT110"
        ) from error
    if not isinstance(module, tvm.IRModule):
        raise AutotuneError(
            f"expected the text of a workload's module, found a {type(module).__name__}", code="AT110"
        )
    return module


def _check_nodes(document: dict[str, Any]) -> None:
    """Raises ValueError for a graph in which nodes are missing or go in a circle: TVM does not look before it follows.

    Nodes refer to earlier ones by their numbers; those of type "None" may stand for optional fields only.
    """
    nodes = document["nodes"]
    missing = {number for number, node in enumerate(nodes) if node["type"] == "None"}
    for number, node in enumerate(nodes):
        kind, data = node["type"], node.get("data")
        if isinstance(data, dict) and kind != _FLOAT:
            optional = _OPTIONAL | {"dom"} if _is_thread(kind, data) else _OPTIONAL
            needed = [data[name] for name in data if name not in optional]
            known = [data[name] for name in data if name not in _PLAIN]
        elif isinstance(data, list):
            needed, known = data if kind == _ARRAY else [], data
        else:
            continue
        if any(isinstance(each, int) and each in missing for each in needed):
            raise ValueError(f"{kind} without one of its parts")
        if any(isinstance(each, int) and each >= number for each in known):
            raise ValueError(f"{kind} that is a part of itself")


def _is_thread(kind: str, data: dict[str, Any]) -> bool:
    """Whether a node is a thread of a GPU, whose number the loop tells that is bound to it."""
    return kind == "tirx.IterVar" and data.get("iter_type") == _THREAD_INDEX


def workload(module: tvm.IRModule | tvm.tirx.PrimFunc, name: str) -> Workload:
    """The workload of a module with one static-shape function.

    Raises Misuse where there is not exactly one function, or where a shape is not static.
    """
    module = normalize(module)
    signature(module)
    return Workload(digest(module["main"]), name, dump(module), flops(module))


def flops(module: tvm.IRModule) -> float:
    """Arithmetic operations of one call, 0.0 where TVM cannot count them."""
    try:
        return float(estimate_tir_flops(with_counted_products(module)))
    except (RuntimeError, ValueError):
        return 0.0


def signature(module: tvm.IRModule) -> tuple[TensorSpec, ...]:
    """The parameters of the module's one function, in order. Raises Misuse where a shape is not static."""
    func = normalize(module)["main"]
    layout_free = {int(index) for index in func.attrs.get("layout_free_buffers", ())}
    written = _written_buffers(func)
    return tuple(
        TensorSpec(_static_shape(param), str(param.dtype), param in written, index in layout_free)
        for index, param in enumerate(func.params)
    )


def moved_bytes(text: str) -> int:
    """The size of the inputs and outputs of a dumped module in bytes. Raises what `load` and `signature` raise."""
    return sum(prod(spec.shape) * _item_bytes(spec.dtype) for spec in signature(load(text)))


def _item_bytes(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 2  # bfloat16 and its like


@lru_cache(maxsize=64)
def tvm_target(target: Target) -> tvm.target.Target:
    """TVM's own object for a target, without its host. Raises Misuse where TVM does not know its kind, tag or
    attributes."""
    config = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in target.attrs
        if name != _HOST
    }
    try:
        if "/" in target.kind:
            return tvm.target.Target({"tag": target.kind, **config})
        return tvm.target.Target({"kind": target.kind, **config})
    except (RuntimeError, ValueError, TypeError) as error:
        raise Misuse(
            f"expected a target that TVM knows, found {str(target)!r}: {last_line(error)}",
            code="AT411",
        ) from error


def with_host(target: Target) -> tvm.target.Target:
    """A GPU's target with that of the processor beside it: this machine's, or of the triple that -host names."""
    triple = target.attr(_HOST)
    host = {"kind": "llvm", **({} if triple is None else {"mtriple": str(triple)})}
    return tvm.target.Target(tvm_target(target), host=host)


def is_cpu(target: Target) -> bool:
    """Whether code for the target runs on a processor; TVM resolves the kind of a tag."""
    return str(tvm_target(target).kind.name) == "llvm"


def _static_shape(param: tvm.tirx.Var) -> tuple[int, ...]:
    try:
        return tuple(int(extent) for extent in param.shape)
    except (TypeError, AttributeError) as error:
        raise Misuse(
            f"expected static shapes, found parameter {param}; fix dynamic dimensions before tuning",
            code="AT104",
        ) from error


def _written_buffers(func: tvm.tirx.PrimFunc) -> set[tvm.tirx.Var]:
    written: set[tvm.tirx.Var] = set()
    statements = [func.body]
    while statements:
        statement = statements.pop()
        if isinstance(statement, tvm.tirx.BufferStore):
            written.add(statement.buffer)
        if isinstance(statement, tvm.s_tir.SBlock):
            written.update(region.source for region in statement.writes)
        for field in ("body", "block", "init", "then_case", "else_case"):
            child = getattr(statement, field, None)
            if child is not None:
                statements.append(child)
        statements.extend(getattr(statement, "seq", ()))
    return written
