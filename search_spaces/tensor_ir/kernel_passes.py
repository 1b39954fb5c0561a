"""Passes over the kernels of a CPU that TVM's lowering lacks, the same for a trial and for a model (imports TVM)."""

from __future__ import annotations

import tvm

from search_spaces.tensor_ir.index_simplification import with_simple_indices
from search_spaces.tensor_ir.loop_partition import with_cut_loops
from search_spaces.tensor_ir.loop_versioning import with_loop_versions
from search_spaces.tensor_ir.nan_comparison import with_nan_comparisons
from search_spaces.tensor_ir.nested_parallelism import with_worthwhile_threads
from search_spaces.tensor_ir.padding_skip import with_skipped_padding
from search_spaces.tensor_ir.silu_underflow import with_normal_silu


def kernel_passes(module: tvm.IRModule) -> tvm.IRModule:
    """The module as it goes to TVM's lowering; functions that need none of the passes are left as they are."""
    simple = with_simple_indices(with_worthwhile_threads(module))
    cut = with_cut_loops(with_normal_silu(with_skipped_padding(simple)))
    # Bits of float64 are wide integers, with which no loop is cut.
    return with_loop_versions(with_nan_comparisons(cut))
