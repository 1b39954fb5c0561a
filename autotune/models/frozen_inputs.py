"""Inputs of an ONNX file as constants: a sampling rate, a switch, an index that decides what runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from autotune.models.input_shapes import is_static, shown
from autotune.models.onnx_file import FIRST_IR_WITH_CONSTANT_WEIGHTS, read_unfixed
from autotune.models.onnx_passes.tensor_types import is_float_dtype
from search_spaces.errors import Misuse
from tuning_logs.atomic_file import atomically

Array = npt.NDArray[Any]

# Protobuf holds no larger message: weights go to a file beside the model.
_MAX_MESSAGE_BYTES = 2**31 - 1


def freeze(path: Path, values: Mapping[str, Sequence[float]], output: Path) -> None:
    """Writes the model of a file with some of its inputs as constants.

    ```
    input, state, sr -> If(sr == 16000)        {"sr": [16000]}:  input, state -> then_branch
    ```

    values: the elements of each input by its name, in row-major order; one alone fills any static shape.

    Raises Misuse for inputs that the model does not have, for values that do not fit their types and shapes, and
    where no input is left; OSError where the output cannot be written.
    """
    model = read_unfixed(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = {value.name: value for value in model.graph.input if value.name not in weights}
    for name, elements in values.items():
        if name not in fed:
            raise Misuse(
                f"expected the name of an input of {path.name} ({', '.join(fed) or 'none'}); found {name!r}",
                code="AT105",
            )
        model.graph.initializer.append(numpy_helper.from_array(_constant(fed[name], elements), name))
    kept = [value for value in model.graph.input if value.name not in values]
    if not any(value.name in fed for value in kept):
        raise Misuse(
            f"expected an input that stays; {path.name} has no other than {', '.join(fed)}", code="AT105"
        )
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, FIRST_IR_WITH_CONSTANT_WEIGHTS)
    is_large = model.ByteSize() > _MAX_MESSAGE_BYTES
    with atomically(output) as scratch:
        onnx.save(
            model,
            scratch,
            format="protobuf",
            save_as_external_data=is_large,
            location=f"{output.name}.weights",
        )


def _constant(value: onnx.ValueInfoProto, elements: Sequence[float]) -> Array:
    """The elements in the shape and type of an input; free dimensions have the only size that takes them all."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise Misuse(
            f"expected an input of known rank to freeze; {value.name!r} ({shown(value)}) is none",
            code="AT105",
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = _shape(value, len(elements))
    if not all(_fits(element, dtype) for element in elements):
        raise Misuse(
            f"expected values of the type {dtype.name} for input {value.name!r}; found {list(elements)}",
            code="AT105",
        )
    stored = np.array(elements).astype(dtype)
    return np.full(shape, stored[0]) if len(elements) == 1 else stored.reshape(shape)


def _fits(element: float, dtype: np.dtype[Any]) -> bool:
    """Whether an input of this type can have this value, floats rounded."""
    if is_float_dtype(dtype):
        return True
    if dtype.kind == "b":
        return element in (0, 1)
    limits = np.iinfo(dtype)
    return isinstance(element, int) and limits.min <= element <= limits.max


def _shape(value: onnx.ValueInfoProto, num_elements: int) -> tuple[int, ...]:
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if is_static(value) and num_elements in (1, math.prod(sizes)):
        return tuple(sizes)
    if len(sizes) == 1 and not is_static(value):
        return (num_elements,)
    raise Misuse(
        f"expected one value, or one for each element, for input {value.name!r} ({shown(value)}); "
        f"found {num_elements}",
        code="AT105",
    )
