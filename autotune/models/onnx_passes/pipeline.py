"""The order in which an ONNX graph is rewritten before TVM imports it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import onnx

from autotune.models.onnx_passes.absorbed_paddings import with_absorbed_paddings
from autotune.models.onnx_passes.absorbed_scales import with_absorbed_scales
from autotune.models.onnx_passes.affine_batch_norms import with_affine_batch_norms
from autotune.models.onnx_passes.canonical_operators import with_canonical_operators
from autotune.models.onnx_passes.constant_folding import with_folded_constants
from autotune.models.onnx_passes.constants import with_dense_initializers
from autotune.models.onnx_passes.control_flow import with_unrolled_control_flow
from autotune.models.onnx_passes.dropouts import with_identity_dropouts
from autotune.models.onnx_passes.explicit_attributes import with_explicit_attributes
from autotune.models.onnx_passes.functions import with_expanded_operators, with_inlined_functions
from autotune.models.onnx_passes.gathered_rows import with_split_rows
from autotune.models.onnx_passes.group_normalizations import with_group_normalizations
from autotune.models.onnx_passes.grouped_parts import with_grouped_parts
from autotune.models.onnx_passes.moved_quantization import with_moved_quantization
from autotune.models.onnx_passes.opsets import with_current_opset
from autotune.models.onnx_passes.quantized_products import with_integer_products
from autotune.models.onnx_passes.redundant_nodes import (
    with_live_nodes,
    with_shared_nodes,
    without_copies,
    without_empty_operands,
)
from autotune.models.onnx_passes.rewrites import rewrite_of
from autotune.models.onnx_passes.sequences import with_resolved_sequences

Pass = Callable[[onnx.ModelProto], onnx.ModelProto]

# Rounds in which each pass gives the others something to do: loops within branches within functions.
_MAX_ROUNDS = 64


def normalized(model: onnx.ModelProto, is_importable: Callable[[onnx.NodeProto], bool]) -> onnx.ModelProto:
    """The model as TVM's importer takes it, with its inputs, outputs and element types.

    is_importable: the operators that the importer knows; others are replaced by their definitions. Inputs must have
    static shapes, and nodes must be sorted. Raises Misuse for what cannot be compiled, and UnfitNode for a node that
    ONNX does not allow.
    """

    def is_kept(node: onnx.NodeProto) -> bool:
        return rewrite_of(node) is not None or is_importable(node)

    straight = _applied(
        model,
        (
            with_inlined_functions,
            with_current_opset,
            with_dense_initializers,
            with_moved_quantization,
            with_integer_products,
        ),
    )
    resolving: tuple[Pass, ...] = (
        with_dense_initializers,
        with_explicit_attributes,
        with_identity_dropouts,
        with_folded_constants,
        with_unrolled_control_flow,
        with_resolved_sequences,
        functools.partial(with_expanded_operators, is_kept=is_kept),
        with_live_nodes,
    )
    for _ in range(_MAX_ROUNDS):
        before, straight = straight, _applied(straight, resolving)
        if straight is before:
            break
    simplifying: tuple[Pass, ...] = (
        with_group_normalizations,
        with_canonical_operators,
        without_copies,
        without_empty_operands,
        with_shared_nodes,
        with_absorbed_paddings,
        with_absorbed_scales,
        with_affine_batch_norms,
        with_live_nodes,
        with_split_rows,
        with_grouped_parts,
    )
    return _applied(straight, simplifying)


def _applied(model: onnx.ModelProto, passes: Sequence[Pass]) -> onnx.ModelProto:
    return functools.reduce(lambda rewritten, rewrite: rewrite(rewritten), passes, model)
