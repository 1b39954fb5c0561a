"""From a model's graph to the fused tensor programs that are tuned and built (imports TVM)."""

from __future__ import annotations

import tvm
from tvm import relax

from autotune.model import Model
from search_spaces.modules import tvm_target
from search_spaces.target import Target


def lower(model: Model | tvm.IRModule, target: Target) -> tvm.IRModule:
    """A module whose `main` calls one scheduled-by-nobody PrimFunc for each group of fused operators.

    The same passes run before tasks are extracted and before a build, so that a record is found again.
    A reshape in the middle of the graph becomes a view here: once scheduled, TVM would not know it for one.
    Then the constant weights of each function are marked as free in their layout: the search may repack
    them, and the build does the repacking ahead of time.
    """
    module = model.module if isinstance(model, Model) else model
    compiled_for = tvm_target(target)
    passes = [
        relax.transform.DecomposeOpsForInference(),
        relax.transform.CanonicalizeBindings(),
        *relax.pipeline.library_dispatch_passes(compiled_for),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.RewriteDataflowReshape(),
        relax.transform.AttachAttrLayoutFreeBuffers(),
        relax.transform.DeadCodeElimination(),
    ]
    with compiled_for, tvm.transform.PassContext(opt_level=3):
        return tvm.transform.Sequential(passes)(module)
