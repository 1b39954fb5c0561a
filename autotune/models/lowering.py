"""From a model's graph to the fused tensor programs that are tuned and built (imports TVM)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import tvm
from tvm import relax

from autotune.models.dynamic_model import DynamicModel
from autotune.models.isolation import failing_node
from autotune.models.merging import merged
from autotune.models.model import Model
from autotune.models.passes.box_suppression import legalize_suppression
from autotune.models.passes.broadcast_constants import with_broadcast_constants
from autotune.models.passes.channel_padding import with_full_vectors
from autotune.models.passes.channel_shuffles import with_channels_last_shuffles
from autotune.models.passes.channels_last import with_channels_last
from autotune.models.passes.channels_last_images import with_channels_last_images
from autotune.models.passes.constant_layouts import with_constant_layouts
from autotune.models.passes.counted_axes import with_counted_axes
from autotune.models.passes.dequantized_products import with_dequantized_products
from autotune.models.passes.dilated_convolutions import with_skipped_rows
from autotune.models.passes.enlarged_images import with_separate_enlargements
from autotune.models.passes.few_largest import with_few_largest
from autotune.models.passes.fused_attention import with_fused_attention
from autotune.models.passes.late_enlargements import with_late_enlargements
from autotune.models.passes.lifted_convolutions import with_lifted_convolutions
from autotune.models.passes.maxima_and_minima import with_maxima_and_minima
from autotune.models.passes.padded_softmax import legalize_softmax
from autotune.models.passes.row_products import with_row_products
from autotune.models.passes.small_operands import with_small_operands_apart
from autotune.models.passes.split_convolutions import with_split_convolutions
from autotune.models.passes.trimmed_kernels import with_trimmed_kernels
from autotune.models.passes.wide_functions import with_wide_functions_apart
from autotune.models.passes.wide_operands import with_wide_operands
from autotune.models.passes.winograd import Choice, where_expected, with_winograd
from autotune.models.passes.word_products import with_word_products
from autotune.models.shape_plan import FALLBACK, function_of
from search_spaces.errors import last_line
from search_spaces.fork_lock import graph_lock
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import is_cpu, tvm_target
from search_spaces.tensor_ir.tensor_cores import has_tensor_cores
from search_spaces.tensor_ir.vector_unit import vector_unit

#: Functions that make calls of tensor programs in place of TVM's, by the operator's name.
_LEGALIZATIONS: Final = {
    "relax.nn.softmax": legalize_softmax,
    "relax.vision.all_class_non_max_suppression": legalize_suppression,
}


@graph_lock
def lower(
    model: Model | DynamicModel | tvm.IRModule, target: Target, choice: Choice = where_expected
) -> tvm.IRModule:
    """A module whose `main` calls one unscheduled PrimFunc for each group of fused operators.

    The same passes run before tasks are extracted and before a build, so that a record is found again.
    A reshape in the middle of the graph becomes a view here: once scheduled, TVM would not know it for one.
    Then the constant weights of each function are marked as free in their layout: the search may repack
    them, and the build does the repacking ahead of time. Raises Misuse for a model that TVM cannot lower, with the
    node of its file that it cannot lower alone.
    A model with dynamic axes has a function for each of its variants, and one for its fallback.
    choice: of the convolutions that are transformed, on CPUs; see `autotune.models.algorithm_choice`.
    """
    if isinstance(model, DynamicModel):
        functions = {
            function_of(model.plan, sizes): lower(one, target, choice)
            for sizes, one in model.variants.items()
        }
        if model.fallback is not None:
            functions[FALLBACK] = _lowered(model.fallback, target, choice)
        return merged(functions)
    if not isinstance(model, Model):
        return _lowered(model, target, choice)
    try:
        return _lowered(model.module, target, choice)
    except (RuntimeError, ValueError, TypeError) as error:
        found = failing_node(model, lambda module: _lowered(module, target, choice))
        node, cause = found or (None, error)
        raise model.origins.refusal(
            node, f"TVM {tvm.__version__} cannot lower it: {last_line(cause)}"
        ) from error


def _lowered(module: tvm.IRModule, target: Target, choice: Choice) -> tvm.IRModule:
    compiled_for = tvm_target(target)
    passes = [
        relax.transform.AnnotateTIROpPattern(),
        with_wide_functions_apart,
        *([with_small_operands_apart] if is_cpu(target) else []),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.RewriteDataflowReshape(),
        relax.transform.AttachAttrLayoutFreeBuffers(),
        relax.transform.DeadCodeElimination(),
    ]
    with compiled_for, tvm.transform.PassContext(opt_level=3):
        decomposed = relax.transform.DecomposeOpsForInference()(module)
        counted = with_counted_axes(relax.transform.CanonicalizeBindings()(decomposed))
        canonical = with_trimmed_kernels(counted)
        if is_cpu(target):
            whole = with_late_enlargements(with_dequantized_products(canonical, compiled_for))
            legal = with_channels_last(
                with_broadcast_constants(
                    with_lifted_convolutions(with_maxima_and_minima(with_wide_operands(whole)))
                ),
                lambda laid_out: _legalized_for_cpu(laid_out, compiled_for, choice),
            )
        elif has_tensor_cores(compiled_for):
            legal = with_channels_last(canonical, lambda laid_out: _legalized(laid_out, compiled_for))
        else:
            legal = _legalized(canonical, compiled_for)
        return tvm.transform.Sequential(passes)(legal)


def _legalized_for_cpu(module: tvm.IRModule, target: tvm.target.Target, choice: Choice) -> tvm.IRModule:
    unit = vector_unit(target)
    shuffled = with_channels_last_shuffles(with_separate_enlargements(with_channels_last_images(module)))
    full = with_full_vectors(with_split_convolutions(shuffled), unit)
    whole = with_word_products(with_constant_layouts(full), target, choice)
    transformed = with_skipped_rows(with_winograd(whole, unit, choice))
    attentive = with_row_products(with_fused_attention(transformed, unit))
    return _legalized(with_few_largest(attentive), target, _LEGALIZATIONS)


def _legalized(
    module: tvm.IRModule, target: tvm.target.Target, own: Mapping[str, Callable[..., Any]] | None = None
) -> tvm.IRModule:
    """The module with its operators as calls of tensor programs, and constants in the layouts that they are read in.

    own: functions that make these calls in place of TVM's, by the operator's name.
    """
    passes = [
        *relax.pipeline.library_dispatch_passes(target),
        relax.transform.LegalizeOps(dict(own or {})),
    ]
    return tvm.transform.Sequential(passes)(with_constant_layouts(module))
