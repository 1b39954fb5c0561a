"""One operator to be tuned, as a value that outlives the process and the compiler version."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """An operator: what it computes, on which shapes and dtypes.

    key:    our own digest of the canonical module (32 hex digits); the same in every process and on every machine,
            whatever its variables, buffers, blocks and function are called.
    name:   for people only.
    module: text that rebuilds the module (`search_spaces.tensor_ir.modules.load`).
    flops:  floating-point operations of one call, 0.0 where they cannot be counted.
    """

    key: str
    name: str
    module: str
    flops: float
