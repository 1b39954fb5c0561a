"""A model with dynamic axes: the same file imported for each size that is built (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import tvm

from autotune.models.dynamic_axes import read_with_free_axes
from autotune.models.dynamic_inputs import DynamicInputs, Sizes
from autotune.models.model import Model, load_model
from autotune.models.onnx_file import InputSpec, Shape
from autotune.models.onnx_import import importable, imported
from autotune.models.onnx_passes.constants import with_dense_initializers
from autotune.models.onnx_passes.dropouts import with_identity_dropouts
from autotune.models.onnx_passes.functions import with_inlined_functions
from autotune.models.onnx_passes.opsets import with_current_opset
from autotune.models.onnx_passes.redundant_nodes import with_live_nodes
from autotune.models.origin import origins_of, with_named_nodes
from autotune.models.passes.float32_sums import with_float32_sums
from autotune.models.shape_plan import ShapePlan
from search_spaces.fork_lock import graph_lock


@dataclass(frozen=True)
class DynamicModel:
    """A model that is built for some sizes of its dynamic axes, and dispatches between them when it is called.

    variants: the model with static shapes, for each of the plan's variants;
    fallback: a Relax module with symbolic shapes, None where the plan has none;
    notices:  on what was decided for the user, and on sizes that are slow or refused.
    """

    name: str
    plan: ShapePlan
    variants: Mapping[Sizes, Model]
    fallback: tvm.IRModule | None
    path: Path
    notices: tuple[str, ...] = ()

    @property
    def largest(self) -> Model:
        """The model at its largest sizes."""
        return self.variants[self.plan.inputs.high]

    def without_fallback(self) -> DynamicModel:
        """The model for the sizes that variants compute, alone."""
        return replace(self, plan=replace(self.plan, has_fallback=False), fallback=None)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs at the largest sizes."""
        return self.plan.inputs.largest

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """The largest shapes by name."""
        return self.largest.shapes


def import_variants(path: Path, plan: ShapePlan, notices: tuple[str, ...] = ()) -> DynamicModel:
    """Reads an ONNX file once for each variant of a plan. Raises Misuse as `load_model` does."""
    variants = {sizes: load_model(path, plan.inputs.shapes_at(sizes)) for sizes in plan.variants}
    fallback = import_any_size(path, plan.inputs) if plan.has_fallback else None
    return DynamicModel(path.stem, plan, variants, fallback, path, notices)


@graph_lock
def import_any_size(path: Path, inputs: DynamicInputs) -> tvm.IRModule:
    """The Relax module of a file with symbolic sizes of its axes, imported as TVM does it by itself.

    Raises Misuse where TVM cannot. The numbers are to be compared with the reference: rewrites that make up for
    mistakes of TVM's importer need static shapes.
    """
    proto = with_named_nodes(read_with_free_axes(path, inputs))
    origins = origins_of(proto, path.name)
    for rewrite in (
        with_inlined_functions,
        with_current_opset,
        with_dense_initializers,
        with_identity_dropouts,
        with_live_nodes,
    ):
        proto = rewrite(proto)
    unknown = next((node for node in proto.graph.node if not importable(node)), None)
    if unknown is not None:
        raise origins.refusal(unknown.name, f"TVM {tvm.__version__} cannot import it")
    try:
        return with_float32_sums(imported(proto, origins))
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise origins.refusal("", f"TVM {tvm.__version__} cannot import it with symbolic shapes") from error
