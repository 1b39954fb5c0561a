"""A model to be tuned: a file of one of several formats as a Relax module with constant weights (imports TVM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import onnx
import tvm

from autotune.models import onnx_file
from autotune.models.extras import needing
from autotune.models.imported_graph import ImportedGraph
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import FixedSizes, InputSpec, Shape
from autotune.models.onnx_import import importable, imported
from autotune.models.onnx_passes.canonical_operators import UnfitNode
from autotune.models.onnx_passes.limits import first_limit
from autotune.models.onnx_passes.pipeline import normalized
from autotune.models.onnx_passes.rewrites import rewrite_of
from autotune.models.origin import Origins, origins_of, with_named_nodes
from autotune.models.passes.float32_sums import with_float32_sums
from autotune.models.passes.pairwise_operations import with_pairwise_operations
from search_spaces.errors import Misuse
from search_spaces.fork_lock import graph_lock

# Nodes that an error names for each operator.
_MAX_NAMED = 3


class UnsupportedOperators(Misuse):
    """A model has operators that cannot be imported. nodes: the first that have each of them, by the operator."""

    code = "AT106"

    def __init__(self, message: str, nodes: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(message)
        self.nodes = nodes


@dataclass(frozen=True)
class Model:
    """A model with static shapes.

    module: a Relax module whose `main` takes the inputs in this order; weights are constants.
    path:   the file, and shapes what its inputs were fixed to: another engine can run the same graph
            (`autotune.deployment.reference_engine.reference_engine`).
    notices: what was decided for the user, in sentences: a batch size that was taken as 1.
    origins: the nodes or layers of the file, for errors.
    """

    name: str
    module: tvm.IRModule
    inputs: tuple[InputSpec, ...]
    path: Path
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    origins: Origins = field(default_factory=lambda: Origins("", {}))

    @property
    def format(self) -> ModelFormat:
        """The format of the file."""
        return format_of(self.path)


def load_model(
    path: str | Path, shapes: Mapping[str, Shape] | None = None, dims: Mapping[str, int] | None = None
) -> Model:
    """Reads a model file: ONNX, a program of `torch.export` (``.pt2``), or TFLite (``.tflite``).

    shapes fixes dynamic inputs by name: ``{"images": (1, 3, 320, 320)}``; dims fixes free dimensions by their names:
    ``{"height": 320, "width": 320}``.

    Raises Misuse where the file is not a whole model, where shapes and inputs do not match, where an operator cannot
    be compiled, with its node or layer, and where the package that reads the format is not installed.
    """
    path = Path(path)
    found = _graph(path, FixedSizes(shapes or {}, dims or {}))
    module = with_float32_sums(with_pairwise_operations(found.module))
    fixed = {spec.name: spec.shape for spec in found.inputs}
    return Model(path.stem, module, found.inputs, path, fixed, found.notices, found.origins)


def read_inputs(path: Path, shapes: Mapping[str, Shape]) -> tuple[InputSpec, ...]:
    """The inputs of a model file with these shapes, without the import of its graph. Raises Misuse as `load_model`."""
    return read_inputs_with_notices(path, FixedSizes(shapes, {}))[0]


def read_inputs_with_notices(path: Path, fixed: FixedSizes) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """As `read_inputs`, with notices of what was decided for the user."""
    found: tuple[tuple[InputSpec, ...], tuple[str, ...]]
    match format_of(path):
        case ModelFormat.TORCH:
            file = _torch("torch_file")
            found = file.inputs(file.read(path), fixed, path.name)
        case ModelFormat.TFLITE:
            found = _tflite().inputs(path, fixed), ()
        case ModelFormat.ONNX:
            proto, notices = onnx_file.read_with_notices(path, fixed)
            found = onnx_file.inputs(proto), notices
    return found


@graph_lock
def _graph(path: Path, fixed: FixedSizes) -> ImportedGraph:
    match format_of(path):
        case ModelFormat.TORCH:
            found: ImportedGraph = _torch("torch_import").imported(path, fixed)
        case ModelFormat.TFLITE:
            found = _tflite().imported(path, fixed)
        case ModelFormat.ONNX:
            found = _from_onnx(path, fixed)
    return found


def _torch(module: str) -> ModuleType:
    return needing("torch", f"autotune.models.{module}", "to read a PyTorch program (.pt2)")


def _tflite() -> ModuleType:
    return needing("tflite", "autotune.models.tflite_import", "to read a TFLite file")


def _from_onnx(path: Path, fixed: FixedSizes) -> ImportedGraph:
    proto, notices = onnx_file.read_with_notices(path, fixed)
    proto = with_named_nodes(proto)
    origins = origins_of(proto, path.name)
    try:
        rewritten = normalized(proto, importable)
    except UnfitNode as error:
        reason = f"its attributes and inputs do not fit together: {error.reason}"
        raise origins.refusal(error.node, reason, "Export the model again") from None
    _check_operators(rewritten, origins)
    return ImportedGraph(imported(rewritten, origins), onnx_file.inputs(proto), origins, notices)


def _check_operators(proto: onnx.ModelProto, origins: Origins) -> None:
    limit = first_limit(proto)
    if limit is not None:
        raise origins.refusal(limit.node, limit.reason, limit.remedy)
    left = [node for node in onnx_file.nodes(proto.graph) if not importable(node)]
    # An operator of no known meaning keeps others from being rewritten: it is the one to name.
    unknown = [node for node in left if rewrite_of(node) is None] or left
    if not unknown:
        return
    names: dict[str, list[str]] = {}
    for node in unknown:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        names.setdefault(operator, []).append(node.name or node.output[0])
    named = {operator: tuple(found[:_MAX_NAMED]) for operator, found in names.items()}
    where = "; ".join(f"{operator} at {', '.join(found)}" for operator, found in named.items())
    first = origins.of(unknown[0].name)
    raise UnsupportedOperators(
        f"expected operators that TVM {tvm.__version__} can import; {origins.file} also has {where}"
        + (f", first at {first}" if first else "")
        + ". Export the model without them",
        named,
    )
