"""Served models from libraries: one that is given, or one for each batch size, built from a model file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw, outputs_of_sample
from autotune.deployment.executable import SavedModel, read_facts
from autotune.deployment.referee import judge, of_peer
from autotune.devices.device import Device
from autotune.models.dynamic_inputs import DynamicInputs
from autotune.models.model import Model, load_model, read_inputs
from autotune.models.onnx_file import Shape
from autotune.throughput.instances import ServedModel
from autotune.workers.fork_server import WorkerNeeds
from autotune.workers.pool import WorkerPool, lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError, Misuse
from tuning_logs import RecordStore

Array = npt.NDArray[Any]

_TIMEOUT_SECS = 600.0
_SEED = 0


@dataclass(frozen=True)
class Served:
    """A model to be served, and what was decided for the user, in sentences."""

    model: ServedModel
    notices: tuple[str, ...] = ()


def open_library(path: Path, batches: Sequence[int]) -> Served:
    """A built model; batches: the sizes to try where its first dimension may differ from call to call.

    Raises Misuse where it is no built model, or one that does not say which inputs it takes.
    """
    facts = read_facts(path)
    if facts.plan is not None:
        return _open_dynamic(path, facts.plan.inputs, batches)
    if facts.inputs is None:
        raise Misuse(
            f"expected a library that says which inputs it takes; {path} was built by an older version. "
            "Build it again with autotune build",
            code="AT740",
        )
    return Served(ServedModel(((1, path.absolute()),), facts.inputs), (_fixed(path.name, batches),))


def _open_dynamic(path: Path, inputs: DynamicInputs, batches: Sequence[int]) -> Served:
    everywhere = tuple((number, 0) for number in range(len(inputs.largest)))
    number = next((place for place, axis in enumerate(inputs.axes) if axis.places == everywhere), None)
    if number is None or 1 not in inputs.axes[number].sizes:
        return Served(ServedModel(((1, path.absolute()),), inputs.largest), (_fixed(path.name, batches),))
    single = inputs.at([1 if place == number else size for place, size in enumerate(inputs.high)])
    sizes = sorted({1} | {size for size in batches if size in inputs.axes[number].sizes})
    return Served(ServedModel(tuple((size, path.absolute()) for size in sizes), single))


def _fixed(name: str, batches: Sequence[int]) -> str:
    wished = f": {', '.join(map(str, batches))} are not tried" if max(batches) > 1 else ""
    return f"the batch size of {name} is fixed, so a call takes one request{wished}"


def build_libraries(
    model: Model, batches: Sequence[int], device: Device, log: RecordStore, folder: Path
) -> Served:
    """A library of a model in a folder for each batch size, with the best schedules of a log or default ones.

    A batch is 1 alone where the file fixes it, and where a batched build computes something else than single calls.
    """
    fixed = Served(
        ServedModel(((1, _built(model, device, log, folder / "batch-1.so")),), model.inputs),
        (_fixed(model.name, batches),),
    )
    sizes = [size for size in sorted(set(batches)) if size > 1]
    if not sizes or not _is_free(model, sizes[0]):
        return fixed
    libraries = list(fixed.model.libraries)
    for size in sizes:
        batched = load_model(model.path, _shapes(model, size))
        libraries.append((size, _built(batched, device, log, folder / f"batch-{size}.so")))
    served = ServedModel(tuple(libraries), model.inputs)
    mistake = _find_mistake(served, device.threads)
    if mistake is None:
        return Served(served)
    notice = f"requests of {model.name} are not put together in batches, whose outputs differ: {mistake}"
    return replace(fixed, notices=(notice,))


def _is_free(model: Model, size: int) -> bool:
    if not all(spec.shape and spec.shape[0] == 1 for spec in model.inputs):
        return False
    try:
        read_inputs(model.path, _shapes(model, size))
    except Misuse:
        return False
    return True


def _shapes(model: Model, size: int) -> dict[str, Shape]:
    return {name: (size, *shape[1:]) for name, shape in model.shapes.items()}


def _built(model: Model, device: Device, log: RecordStore, path: Path) -> Path:
    return compile(model, device.target, log, device.fingerprint).save(path)


def _find_mistake(served: ServedModel, threads: int) -> str | None:
    """The difference between the outputs of the smallest batch and those of single calls, None where there is none."""
    (_, single), (size, batched) = served.libraries[:2]
    rows = [tuple(draw(served.inputs, _SEED + row)) for row in range(size)]
    with lasting_worker(WorkerNeeds(outputs_of_sample.__module__, kernel_threads(threads))) as pool:
        alone = [_outputs(pool, SavedModel(single, threads=threads), row) for row in rows]
        together = _outputs(pool, SavedModel(batched, threads=threads), _stacked(rows))
    return judge(together, of_peer(_stacked(alone))).mistake


def _stacked(rows: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    return tuple(
        np.concatenate(parts) if parts[0].ndim else np.stack(parts) for parts in zip(*rows, strict=True)
    )


def _outputs(pool: WorkerPool, engine: SavedModel, sample: tuple[Array, ...]) -> tuple[Array, ...]:
    [reply] = pool.map([(Call(outputs_of_sample, (engine, sample)), _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected {engine.path.name} to run; found {reply.message}", code="AT704")
    found: tuple[Array, ...] = reply.value
    return found
