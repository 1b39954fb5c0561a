"""ONNX graphs as Relax modules: TVM's importer, with each result held against ONNX's types (imports TVM)."""

from __future__ import annotations

import functools
import re
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from autotune.models.onnx_passes.rewriting import DEFAULT_DOMAINS, opset_version
from autotune.models.onnx_passes.tensor_types import inferred_types, is_float_dtype
from autotune.models.origin import Origins
from search_spaces.errors import Misuse, last_line

# Converted by the importer itself, not through its table.
_BRANCH = "If"


def importable(node: onnx.NodeProto) -> bool:
    """Whether the importer has a converter for an operator of ONNX.

    It looks an operator up by its type alone, and would take ONNX Runtime's own operators for ONNX's.
    """
    return node.domain in DEFAULT_DOMAINS and node.op_type in _of_onnx()


def imported(model: onnx.ModelProto, origins: Origins) -> tvm.IRModule:
    """The Relax module of a normalized model; `main` takes its inputs in their order, weights are constants.

    Raises Misuse, with the node of the user's file, for what TVM cannot import or imports as another type.
    """
    importer = _Importer(model, origins)
    _thread.imports = True
    try:
        with np.errstate(all="ignore"):
            return importer.from_onnx(model.graph, opset_version(model))
    except _RefusedNode as refused:
        raise refused.refusal from refused.__cause__
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise origins.refusal("", _reason(error), "Export the model again") from error
    finally:
        _thread.imports = False


def _reason(error: Exception) -> str:
    """TVM's message about an operator; a fixed text for errors of TVM's own code, which tell a user nothing."""
    said = last_line(error)
    if isinstance(error, LookupError | AssertionError) or re.search(
        r"NoneType|object (has no|is not|of type)", said
    ):
        return f"TVM {tvm.__version__} has no converter for these attributes and inputs of the operator"
    return f"TVM {tvm.__version__} says {said}"


@functools.cache
def _of_onnx() -> frozenset[str]:
    named = {schema.name for schema in onnx.defs.get_all_schemas()}
    return frozenset({*onnx_frontend._get_convert_map(), _BRANCH} & named - {"Attention"})


class _RefusedNode(BaseException):
    """The refusal of a node on its way through TVM, which prints every `Exception` to stdout."""

    def __init__(self, refusal: Misuse) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class _Warnings:
    """`warnings` for TVM's importer: silent in threads that import a model here, for what it says is about TVM."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(self, message: str, category: type[Warning] = UserWarning, stacklevel: int = 1) -> None:
        """As `warnings.warn`."""
        if not getattr(_thread, "imports", False):
            warnings.warn(message, category, stacklevel + 1)


_thread = threading.local()
# The filters of `warnings` are the process's, and those of its other threads.
onnx_frontend.warnings = _Warnings()


class _Importer(onnx_frontend.ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer; an error names the user's node, and a result of another type than ONNX's is one."""

    def __init__(self, model: onnx.ModelProto, origins: Origins) -> None:
        super().__init__({}, "float32")
        self._origins = origins
        self._types = inferred_types(model)
        self._by_name = {node.name: node for node in model.graph.node}

    def _convert_operator(self, op_name: str, inputs: list[Any], attrs: dict[str, Any], opset: int) -> Any:
        name = attrs["tvm_custom"]["name"]
        node = self._by_name.get(name)
        try:
            truncated = _truncated(op_name, inputs, attrs)
            if truncated is not None:
                result = self.bb.normalize(truncated)
            else:
                result = super()._convert_operator(op_name, inputs, attrs, opset)
        except Exception as error:
            raise _RefusedNode(self._origins.refusal(name, _reason(error))) from error
        if node is None:
            return result
        try:
            return self._checked(node, result)
        except Misuse as refusal:
            raise _RefusedNode(refusal) from refusal.__cause__

    def _checked(self, node: onnx.NodeProto, result: Any) -> Any:
        """The result with the element types and shapes that ONNX infers. Raises Misuse where these contradict."""
        if isinstance(result, relax.Tuple):
            # The importer takes a tuple apart only where it has more fields than one.
            names = [*node.output, *[""] * len(result.fields)]
            fields = zip(names, result.fields, strict=False)
            return relax.Tuple([self._typed(node, name, field) for name, field in fields])
        return self._typed(node, node.output[0], result)

    def _typed(self, node: onnx.NodeProto, name: str, value: Any) -> Any:
        expected = self._types.get(name)
        if expected is None or not isinstance(getattr(value, "ty", None), relax.TensorType):
            return value
        shape, dtype = _static_shape(value.ty), str(value.ty.dtype.dtype)
        if expected.static_shape is not None and shape not in (None, expected.static_shape):
            raise self._origins.refusal(
                node.name,
                f"TVM {tvm.__version__} imports it with the shape {shape} in place of {expected.static_shape}",
            )
        if dtype == expected.dtype.name:
            return value
        if _kind(dtype) != _kind(expected.dtype.name):
            raise self._origins.refusal(
                node.name, f"TVM {tvm.__version__} imports it as {dtype} in place of {expected.dtype.name}"
            )
        return self.bb.normalize(relax.op.astype(value, expected.dtype.name))


def _truncated(op_name: str, inputs: Any, attrs: Mapping[str, Any]) -> Any:
    """A cast of floats to integers as the processor's instruction does it; None for any other operator.

    TVM's importer wraps what no integer holds, by a remainder of 64 bits for each element: it is undefined in ONNX, and
    ONNX Runtime takes what the instruction gives.
    """
    if op_name != "Cast" or not isinstance(getattr(inputs[0], "ty", None), relax.TensorType):
        return None
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(attrs["to"]))
    if dtype.kind not in "iu" or isinstance(inputs[0], tvm.ir.GenericConst):
        return None
    if not is_float_dtype(np.dtype(str(inputs[0].ty.dtype.dtype))):
        return None
    # Instructions give 32 or 64 bits with a sign; the lower ones of these are an integer of fewer, or of none.
    wide = "int32" if dtype.itemsize < np.dtype(np.int32).itemsize or dtype == np.int32 else "int64"
    whole = relax.op.astype(inputs[0], wide)
    return whole if dtype == wide else relax.op.astype(whole, dtype.name)


def _static_shape(type_: Any) -> tuple[int, ...] | None:
    values = getattr(type_.shape, "values", None)
    if values is None or not all(isinstance(size, tvm.tirx.IntImm) for size in values):
        return None
    return tuple(int(size) for size in values)


def _kind(dtype: str) -> str:
    """``int``, ``uint``, ``float``, ``bfloat`` or ``bool``; int and uint are one kind, as are the floats."""
    return dtype.rstrip("0123456789").removeprefix("u").removeprefix("b") if dtype != "bool" else dtype
