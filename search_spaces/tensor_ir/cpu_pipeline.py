"""TVM's lowering of tensor programs for CPUs, with passes of ours at its end (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import tvm
from tvm import s_tir
from tvm.target import codegen
from tvm.tirx import register_tir_pipeline

from search_spaces.tensor_ir.argument_alignment import with_argument_alignment
from search_spaces.tensor_ir.nested_functions import with_stored_arguments
from search_spaces.tensor_ir.panel_prefetch import with_prefetched_panels
from search_spaces.tensor_ir.stack_allocation import with_stack_allocations
from search_spaces.tensor_ir.word_instructions import with_accumulated_products

#: The name of the pipeline, for `tvm.tirx.build` and `relax.build`.
CPU_PIPELINE: Final = "autotune-cpu"

# It reorders sums of integers so that their parts do not fit into registers: 3 to 13 % of a convolution in words.
_LLVM_OPTIONS = ["-x86-machine-combiner:bool=0"]

_Passes = Callable[[], tvm.transform.Pass]


def with_llvm_options(target: tvm.target.Target) -> tvm.target.Target:
    """The target as machine code is made for it: on x86 without LLVM's machine combiner."""
    if not codegen.target_has_features("sse2", target):
        return target
    known = {name: value for name, value in target.export().items() if name != "tag"}
    return tvm.target.Target({**known, "cl-opt": _LLVM_OPTIONS})


def _cpu_pipeline() -> tuple[tvm.transform.Pass, _Passes, _Passes]:
    lowering, finalize_host, finalize_device = s_tir.pipeline.default_s_tir_pipeline()

    def finalize() -> tvm.transform.Pass:
        return tvm.transform.Sequential([_last_changes(), finalize_host()])

    return lowering, finalize, finalize_device


def _last_changes() -> tvm.transform.Pass:
    def change(module: tvm.IRModule, _: Any) -> tvm.IRModule:
        prefetching = with_prefetched_panels(with_argument_alignment(module))
        return with_accumulated_products(with_stack_allocations(with_stored_arguments(prefetching)))

    return tvm.transform.module_pass(change, opt_level=0, name="autotune.CpuKernels")


register_tir_pipeline(CPU_PIPELINE, _cpu_pipeline)
