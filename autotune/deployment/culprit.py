"""The node of a user's file that crashes a build or makes it compute something else, each tried in a worker process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.onnx_reference import OnnxSessions
from autotune.deployment.onnxruntime_engine import Optimizations, session_of
from autotune.deployment.referee import judge
from autotune.models import onnx_file
from autotune.models.isolation import nodes_alone
from autotune.models.model import load_model
from autotune.models.onnx_passes.tensor_types import inferred_types
from autotune.models.origin import with_named_nodes
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import WorkerPool, lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.room import require_storage, scratch_folder
from search_spaces.errors import AutotuneError, last_line
from search_spaces.target import Target
from tuning_logs import TuningLog

Array = npt.NDArray[Any]

# The search ends after this long; a single node has less.
_SEARCH_SECS, _NODE_SECS = 120.0, 60.0
_FILE = "node.onnx"


@dataclass(frozen=True)
class Culprit:
    """A node that fails alone: its name in the file with named nodes, and the reason."""

    node: str
    reason: str


def find_culprit(
    path: Path, shapes: Mapping[str, tuple[int, ...]], target: Target, server: ForkServer | None = None
) -> Culprit | None:
    """The first node of an ONNX file that does not build alone, crashes, or computes other values than ONNX Runtime.

    Each kind of node is built and run on the values that it has inside the model, in a process of its own.
    None where every node is right alone, or the search takes too long.
    """
    model = with_named_nodes(onnx_file.read(path, shapes))
    ends = time.monotonic() + _SEARCH_SECS
    with (
        scratch_folder("autotune-node-") as folder,
        lasting_worker(WorkerNeeds(__name__), server) as pool,
    ):
        values = _inner_values(pool, model, Path(folder))
        for name, alone in nodes_alone(model, int(1e12)):
            if time.monotonic() > ends:
                return None
            if reason := _reason(pool, alone, values, Path(folder), target):
                return Culprit(name, reason)
    return None


def _reason(
    pool: WorkerPool, alone: onnx.ModelProto, values: Path | None, folder: Path, target: Target
) -> str | None:
    onnx.save(alone, folder / _FILE)
    [reply] = pool.map([(Call(_try_node, (folder / _FILE, values, target)), _NODE_SECS)])
    if isinstance(reply, Returned):
        found: str | None = reply.value
        return found
    require_storage(reply.message, folder)
    return f"building or running it fails: {reply.message}"


def _try_node(path: Path, values: Path | None, target: Target) -> str | None:
    """The reason why a node does not build or computes something else; None where it is right."""
    try:
        model = load_model(path)
        inputs = draw(model.inputs, 0)
        if values is not None:
            with np.load(values) as stored:
                known = [stored.get(spec.name) for spec in model.inputs]
            inputs = [
                drawn if one is None or one.shape != drawn.shape else one
                for one, drawn in zip(known, inputs, strict=True)
            ]
        built = compile(model, target, TuningLog.in_memory())
        found = built(*inputs)
    except (AutotuneError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        return last_line(error)
    try:
        # Each node has the same path: what is known of a file by its path is another node's.
        with closing(OnnxSessions(path.name, onnx.load(path), 1, 0)) as sessions:
            reference = sessions.expected(inputs, 0)
    except AutotuneError:
        return None
    return judge(found if isinstance(found, tuple) else (found,), reference).mistake


def _inner_values(pool: WorkerPool, model: onnx.ModelProto, folder: Path) -> Path | None:
    """A file with the value of every tensor between nodes for drawn inputs; None where ONNX Runtime does not run it."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in exposed.graph.output}
    types = inferred_types(model)
    for name in (one for node in model.graph.node for one in node.output):
        if name in types and name not in known:
            exposed.graph.output.append(
                onnx.helper.make_tensor_value_info(name, types[name].elem_type, types[name].shape)
            )
    onnx.save(exposed, folder / "exposed.onnx")
    call = Call(_run_exposed, (folder / "exposed.onnx", folder / "values.npz"))
    [reply] = pool.map([(call, _NODE_SECS)])
    return folder / "values.npz" if isinstance(reply, Returned) else None


def _run_exposed(path: Path, values: Path) -> None:
    model = onnx.load(path)
    specs = onnx_file.inputs(model)
    inputs = dict(zip([spec.name for spec in specs], draw(specs, 0), strict=True))
    with session_of(model, 1, Optimizations.NONE) as session:
        names = [value.name for value in session.get_outputs()]
        found = dict(zip(names, session.run(None, inputs), strict=True))
    arrays: dict[str, Any] = {**found, **inputs}
    np.savez(values, **arrays)
