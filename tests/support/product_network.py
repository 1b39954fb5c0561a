"""The smallest network with an operator to tune."""

from __future__ import annotations

import tvm
from tvm import relax


def network() -> tvm.IRModule:
    """Multiplies two matrices and keeps what is positive."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((32, 64), "float32"))
    w = relax.Var("w", relax.TensorType((64, 48), "float32"))
    with builder.function("main", [x, w]):
        with builder.dataflow():
            result = builder.emit_output(relax.op.nn.relu(builder.emit(relax.op.matmul(x, w))))
        builder.emit_func_output(result)
    return builder.finalize()
