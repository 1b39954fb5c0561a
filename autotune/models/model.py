"""A model to be tuned: an ONNX file as a Relax module with constant weights (imports TVM)."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import tvm
from tvm.relax.frontend import onnx as frontend

from autotune.models import onnx_file
from autotune.models.onnx_file import InputSpec, Shape
from autotune.models.onnx_passes.pipeline import normalized
from autotune.models.passes.affine_batch_norms import with_affine_batch_norms
from autotune.models.passes.pairwise_operations import with_pairwise_operations
from search_spaces.errors import Misuse, last_line

# Domains whose operators TVM's importer knows; it looks an operator up by its type alone.
_DOMAINS = ("", "ai.onnx", "com.microsoft")
# Converted by the importer itself, not through its table.
_BRANCH = "If"


@dataclass(frozen=True)
class Model:
    """A model with static shapes.

    module: a Relax module whose `main` takes the inputs in this order; weights are constants.
    path:   the ONNX file, and shapes what its inputs were fixed to: another engine can run the same graph
            (`autotune.models.onnx_file.read(path, shapes)`).
    """

    name: str
    module: tvm.IRModule
    inputs: tuple[InputSpec, ...]
    path: Path
    shapes: Mapping[str, Shape] = field(default_factory=dict)


def load_model(path: str | Path, shapes: Mapping[str, Shape] | None = None) -> Model:
    """Reads an ONNX file; shapes fixes dynamic inputs by name: ``{"images": (1, 3, 320, 320)}``.

    onnxslim folds constants and shape arithmetic first: TVM's importer needs it for graphs that compute
    their shapes, and a batch norm folded into its convolution is one operator less to run.
    Raises Misuse where the file is not a whole ONNX model, where shapes and inputs do not match, and where
    TVM cannot import an operator.
    """
    path = Path(path)
    proto = onnx_file.read(path, shapes or {})
    _check_operators(proto, path)
    specs = onnx_file.inputs(proto)
    return Model(path.stem, _import(proto, path), specs, path, {spec.name: spec.shape for spec in specs})


def _check_operators(proto: onnx.ModelProto, path: Path) -> None:
    known = {*frontend.onnx_frontend._get_convert_map(), _BRANCH}
    unknown: dict[str, list[str]] = {}
    for node in onnx_file.nodes(proto.graph):
        if node.op_type not in known or node.domain not in _DOMAINS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            unknown.setdefault(operator, []).append(node.name or node.output[0])
    if unknown:
        where = "; ".join(f"{operator} at {', '.join(names)}" for operator, names in unknown.items())
        raise Misuse(
            f"expected operators that TVM {tvm.__version__} can import; {path.name} also has {where}. "
            "Export the model without them"
        )


def _import(proto: onnx.ModelProto, path: Path) -> tvm.IRModule:
    import onnxslim  # takes a third of a second to load, SymPy with it; jobs on one operator do without

    complaints = io.StringIO()
    try:
        with contextlib.redirect_stdout(complaints), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return with_pairwise_operations(
                frontend.from_onnx(with_affine_batch_norms(onnxslim.slim(normalized(proto))))
            )
    except Exception as error:
        culprit = complaints.getvalue().partition(", with inputs")[0].strip()
        raise Misuse(
            f"TVM {tvm.__version__} cannot import {path.name}: {culprit or 'the graph'}: {last_line(error)}"
        ) from error
