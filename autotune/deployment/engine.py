"""An inference engine, and its calls in a worker process: opened once, then run on seeded inputs."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from autotune.measurement.timing import timed_runs
from autotune.models.onnx_file import InputSpec
from autotune.workers.child import resident_bytes

Array = npt.NDArray[Any]

# Values of quantized and of image data, from the first to before the second.
_BYTES = {"uint8": (0, 256), "int8": (-128, 128)}


class Engine(Hashable, Protocol):
    """A model in something that can run it: picklable, and opened only in the process that runs it."""

    @property
    def name(self) -> str:
        """The engine's name in tables."""
        ...

    def open(self) -> Callable[..., Array | tuple[Array, ...]]:
        """The model, to be called with its inputs in the order of the file."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """The start of an engine in its process.

    load_secs: of importing its packages and opening the model; base_memory_bytes: of the process before that.
    """

    load_secs: float
    base_memory_bytes: int


def open_pickled(engine: bytes) -> Opened:
    """Opens an engine that was pickled by this program, so that its packages are first imported here."""
    base_memory_bytes, started = resident_bytes(os.getpid()), time.perf_counter()
    _opened(pickle.loads(engine))
    return Opened(time.perf_counter() - started, base_memory_bytes)


def peak_memory_bytes() -> int:
    """The high-water mark of this process's resident memory; 0 where the system does not say."""
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def outputs(engine: Engine, inputs: tuple[InputSpec, ...], seed: int) -> tuple[Array, ...]:
    """The engine's outputs for seeded inputs."""
    return outputs_of_sample(engine, tuple(draw(inputs, seed)))


def outputs_of_sample(engine: Engine, sample: tuple[Array, ...]) -> tuple[Array, ...]:
    """The engine's outputs for inputs from a file."""
    found = _opened(engine)(*sample)
    return found if isinstance(found, tuple) else (found,)


def run_secs(engine: Engine, inputs: tuple[InputSpec, ...], seed: int, round_secs: float) -> list[float]:
    """Latencies in seconds of one round on seeded inputs; see `autotune.measurement.timing.timed_runs`."""
    model, arguments = _opened(engine), draw(inputs, seed)
    return timed_runs(lambda: model(*arguments), round_secs)


def draw(inputs: Sequence[InputSpec], seed: int) -> list[Array]:
    """Inputs to run a model on: floats are normal, bytes are of the full range, other integers 0 or 1.

    Integers may be indices into a table of any length, or a mask; 0 and 1 are good for both.
    """
    rng = np.random.default_rng(seed)
    return [_draw(rng, spec) for spec in inputs]


def _draw(rng: np.random.Generator, spec: InputSpec) -> Array:
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iub":
        low, high = _BYTES.get(spec.dtype, (0, 2))
        return rng.integers(low, high, spec.shape).astype(dtype)
    return rng.standard_normal(spec.shape).astype(dtype)


@cache
def _opened(engine: Engine) -> Callable[..., Array | tuple[Array, ...]]:
    return engine.open()
