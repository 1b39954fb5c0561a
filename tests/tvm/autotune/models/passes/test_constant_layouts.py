"""Layout changes of constants are constants afterwards, with the values that TVM computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax

from autotune.models.passes.constant_layouts import with_constant_layouts

WEIGHT = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
CHANGES: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "transposed": (lambda w: relax.op.permute_dims(w, [2, 3, 1, 0]), WEIGHT.transpose(2, 3, 1, 0)),
    "reversed": (relax.op.permute_dims, WEIGHT.transpose()),
    "reshaped": (lambda w: relax.op.reshape(w, (6, 20)), WEIGHT.reshape(6, 20)),
    "expanded": (lambda w: relax.op.expand_dims(w, [0, 3]), WEIGHT.reshape(1, 2, 3, 1, 4, 5)),
    "sliced": (lambda w: relax.op.strided_slice(w, [1, 3], [1, 0], [3, 5], [1, 2]), WEIGHT[:, 1:3, :, ::2]),
    "sliced from the end": (lambda w: relax.op.strided_slice(w, [2], [-2], [99]), WEIGHT[:, :, -2:]),
    "padded": (
        lambda w: relax.op.nn.pad(w, [0, 0, 0, 1, 2, 0, 0, 0], pad_value=3.0),
        np.pad(WEIGHT, [(0, 0), (0, 1), (2, 0), (0, 0)], constant_values=3.0),
    ),
    "one after the other": (
        lambda w: relax.op.reshape(relax.op.permute_dims(w, [1, 0, 2, 3]), (3, 40)),
        WEIGHT.transpose(1, 0, 2, 3).reshape(3, 40),
    ),
}


def module_of(change: Callable[[Any], Any], operand: Any, parameters: list[Any]) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    with builder.function("main", parameters):
        with builder.dataflow():
            changed = builder.emit(builder.normalize(change(operand)))
            result = builder.emit_output(relax.op.negative(changed))
        builder.emit_func_output(result)
    return builder.get()


def operand_of_result(module: tvm.IRModule) -> Any:
    """The operand of the last operation."""
    return module["main"].body.blocks[0].bindings[-1].value.args[0]


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_layout_change_of_a_constant_becomes_a_constant(name: str) -> None:
    change, expected = CHANGES[name]
    module = with_constant_layouts(module_of(change, relax.const(WEIGHT), []))
    np.testing.assert_array_equal(operand_of_result(module).value.numpy(), expected)


def test_a_layout_change_of_an_input_stays() -> None:
    given = relax.Var("x", relax.TensorType((2, 3), "float32"))
    module = module_of(relax.op.permute_dims, given, [given])
    tvm.ir.assert_structural_equal(with_constant_layouts(module), module)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int64"])
def test_the_dtype_of_a_constant_stays(dtype: str) -> None:
    typed = relax.const(WEIGHT[0, 0].astype(np.dtype(dtype)), dtype)
    module = with_constant_layouts(module_of(relax.op.permute_dims, typed, []))
    assert str(operand_of_result(module).ty.dtype.dtype) == dtype
