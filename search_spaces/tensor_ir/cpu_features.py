"""Features of the processor that a target names (imports TVM)."""

from __future__ import annotations

from tvm.target import codegen

from search_spaces.target import Target
from search_spaces.tensor_ir.modules import tvm_target


def cpu_features(target: Target) -> frozenset[str]:
    """LLVM's names of all features that machine code for a CPU's target may use, as in "avx512f"."""
    return frozenset(map(str, codegen.llvm_get_cpu_features(tvm_target(target))))
