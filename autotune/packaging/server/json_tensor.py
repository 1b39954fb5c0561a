"""Tensors as JSON: flat or nested lists of numbers and booleans, in row-major order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from .datatypes import BINARY_ONLY
from .faults import RequestFault, shown
from .signature import Array, Tensor

_WHOLE: tuple[set[type], str] = ({int}, "whole numbers")
# By a dtype's kind: the types of JSON, and what they are called.
_ELEMENTS: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true and false"),
    "f": ({int, float}, "numbers"),
    "i": _WHOLE,
    "u": _WHOLE,
}


def read_json_tensor(data: object, tensor: Tensor, shape: Sequence[int]) -> Array:
    """The array that a request's `data` holds. Raises RequestFault where it is not one of the shape and datatype."""
    if tensor.datatype in BINARY_ONLY:
        raise RequestFault(
            400, f"expected {tensor.datatype} for {shown(tensor.name)} as binary data; found JSON"
        )
    values = _flat(data, tensor, shape)
    dtype = tensor.dtype
    types, words = _ELEMENTS[dtype.kind]
    if not set(map(type, values)) <= types:
        raise RequestFault(400, f"expected {words} in {shown(tensor.name)}; found another kind of value")
    if dtype.kind in "iu" and values:
        limits = np.iinfo(dtype)
        if min(values) < limits.min or max(values) > limits.max:
            raise RequestFault(400, _out_of_range(tensor))
    try:
        with np.errstate(over="ignore"):
            found = np.array(values, np.float64 if dtype.kind == "f" else dtype).astype(dtype).reshape(shape)
    except OverflowError:
        raise RequestFault(400, _out_of_range(tensor)) from None
    if dtype.kind == "f" and not np.isfinite(found).all():
        raise RequestFault(400, _out_of_range(tensor))
    return found


def json_values(array: Array, tensor: Tensor) -> list[Any]:
    """The elements in row-major order. Raises RequestFault where JSON cannot represent them."""
    reason = None
    if tensor.datatype in BINARY_ONLY:
        reason = f"{tensor.datatype}"
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        reason = "NaN or infinity"
    if reason is not None:
        raise RequestFault(
            400,
            f"expected output {shown(tensor.name)} to be asked for with the parameter binary_data; found {reason}, "
            "which JSON cannot represent",
        )
    values: list[Any] = array.ravel().tolist()
    return values


def _flat(data: object, tensor: Tensor, shape: Sequence[int]) -> list[Any]:
    name = shown(tensor.name)
    if not isinstance(data, list):
        raise RequestFault(400, f"expected a list as data of {name}; found {shown(type(data).__name__)}")
    values = data
    if values and isinstance(values[0], list):
        rows = [data]
        for size in shape:
            if not all(isinstance(row, list) and len(row) == size for row in rows):
                raise RequestFault(
                    400, f"expected data of {name} nested as its shape {list(shape)}; found another"
                )
            rows = list(chain.from_iterable(rows))
        values = rows
    count = math.prod(shape)
    if len(values) != count:
        raise RequestFault(400, f"expected {count} values for {name}; found {len(values)}")
    return values


def _out_of_range(tensor: Tensor) -> str:
    return (
        f"expected values that {tensor.datatype} can hold in {shown(tensor.name)}; found one out of its range"
    )
