"""Small buffers on the stack instead of in a workspace (imports TVM)."""

from __future__ import annotations

from math import prod
from typing import Any

import tvm
from tvm import tirx

from search_spaces.tensor_ir.module_map import with_mapped

#: Keeps TVM from turning an allocation into a call that takes memory from the thread's workspace.
_KEPT = "disable_lower_builtin"
#: The largest tile of sums, with room to spare: 28 vectors of 64 bytes.
_MOST_BYTES = 4096


def with_stack_allocations(module: tvm.IRModule) -> tvm.IRModule:
    """The module, ready for `LowerTVMBuiltin`, with buffers of at most 4 KiB on the stack.

    LLVM keeps the sums of a tile in registers either way, but where they lie in a workspace it must write them to
    memory before every instruction that may read it, such as a prefetch.
    """
    return with_mapped(module, tirx.AllocBuffer, _on_stack)


def is_on_stack(allocation: Any) -> bool:
    """Whether `with_stack_allocations` puts a buffer on the stack."""
    shape = list(allocation.buffer.ty.shape)
    if not all(isinstance(size, int | tirx.IntImm) for size in shape):
        return False
    kind = tvm.DataType(str(allocation.buffer.ty.dtype))
    bits = int(kind.bits) * int(kind.lanes)
    return prod(map(int, shape)) * bits <= 8 * _MOST_BYTES


def _on_stack(allocation: Any) -> Any:
    if not is_on_stack(allocation):
        return allocation
    return tirx.AllocBuffer(allocation.buffer, {_KEPT: tirx.IntImm("bool", 1)})
