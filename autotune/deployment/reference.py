"""The reference for a model's numbers: the runtime of its own format, run in a process of its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from autotune.deployment.engine import draw
from autotune.deployment.onnx_reference import OnnxReference
from autotune.deployment.referee import Expected, Referee
from autotune.deployment.samples import Sample
from autotune.deployment.side_by_side import DRAWS, TimingSettings
from autotune.deployment.tflite_reference import TfliteReference
from autotune.deployment.torch_reference import TorchReference
from autotune.models.model_format import ModelFormat, format_of
from autotune.models.onnx_file import InputSpec, Shape
from autotune.workers.fork_server import ForkServer, WorkerNeeds
from autotune.workers.pool import lasting_worker
from autotune.workers.process import Call
from autotune.workers.reply import Returned
from autotune.workers.threads import kernel_threads
from search_spaces.errors import AutotuneError, StorageError

Array = npt.NDArray[Any]

_TIMEOUT_SECS = 600.0


class Reference(Hashable, Protocol):
    """A model in the runtime that its numbers are held against: picklable, opened only in the process that runs it."""

    @property
    def threads(self) -> int:
        """Threads that it computes with."""
        ...

    def expected(self, inputs: Sequence[Array], seed: int) -> tuple[Expected, ...]:
        """The outputs for inputs in the order of the file, with bounds; seed: of the roundings.

        Raises AutotuneError where the runtime does not run the model.
        """
        ...


def reference_for(path: Path, shapes: Mapping[str, Shape], threads: int) -> Reference:
    """The reference of a model's file with fixed shapes: the runtime of its format."""
    match format_of(path):
        case ModelFormat.ONNX:
            return OnnxReference(path.absolute(), tuple(shapes.items()), threads)
        case ModelFormat.TORCH:
            return TorchReference(path.absolute(), threads)
        case ModelFormat.TFLITE:
            return TfliteReference(path.absolute(), threads)


def find_referee(
    path: Path,
    shapes: Mapping[str, Shape],
    settings: TimingSettings,
    server: ForkServer | None = None,
    samples: tuple[Sample, ...] = (),
) -> Referee:
    """Runs the reference of a model's file on `DRAWS` draws of inputs, and on samples.

    settings: the inputs, the seed of the first draw, and the threads; server: forks the process that runs it, by
    default one of its own. Raises AutotuneError where that fails.
    """
    reference = reference_for(path, shapes, settings.threads)
    call = Call(_expected, (reference, settings.inputs, settings.seed, samples))
    with lasting_worker(WorkerNeeds(__name__, kernel_threads(reference.threads)), server) as pool:
        [reply] = pool.map([(call, _TIMEOUT_SECS)])
    if not isinstance(reply, Returned):
        raise AutotuneError(f"expected the reference to run the model; found {reply.message}", code="AT704")
    return Referee(reply.value, samples)


def referee_or_notice(
    path: Path,
    shapes: Mapping[str, Shape],
    settings: TimingSettings,
    server: ForkServer | None = None,
    samples: tuple[Sample, ...] = (),
) -> tuple[Referee | None, tuple[str, ...]]:
    """As `find_referee`; None, with a notice, where the reference does not run the model.

    Raises StorageError where the disk is to blame.
    """
    try:
        return find_referee(path, shapes, settings, server, samples), ()
    except StorageError:
        raise
    except AutotuneError as error:
        return None, (f"{path.name} is not compared with its reference: {error}",)


def _expected(
    reference: Reference, inputs: tuple[InputSpec, ...], seed: int, samples: tuple[Sample, ...]
) -> tuple[tuple[Expected, ...], ...]:
    drawn = [draw(inputs, each) for each in range(seed, seed + DRAWS)]
    return tuple(reference.expected(each, seed + number) for number, each in enumerate([*drawn, *samples]))
