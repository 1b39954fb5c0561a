"""A packaged model that is made up: what the server needs of one, without TVM."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.testclient import TestClient

from autotune.packaging.metadata import TensorSpec
from autotune.packaging.server.application import Limits, ServedModel, application
from autotune.packaging.server.batching import Batching
from autotune.packaging.server.draining import Readiness
from autotune.packaging.server.instance_pool import InstancePool
from autotune.packaging.server.metrics import Metrics
from autotune.packaging.server.request_queue import RequestQueue
from autotune.packaging.server.signature import signature

Array = npt.NDArray[Any]


class FakeMisuse(Exception):
    """The fault with which a made up model refuses inputs."""


def echo_specs(dtypes: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Inputs `float32_in` and so on of shape (2, 3), which a model of the same outputs returns."""
    return tuple(TensorSpec(name=f"{dtype}_in", shape=(2, 3), dtype=dtype) for dtype in dtypes)


@dataclass
class Gate:
    """A model that returns its inputs, waits until it may, and counts its runs."""

    is_open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    runs: int = 0

    def run(self, *values: Array) -> Array | tuple[Array, ...]:
        """The inputs."""
        self.runs += 1
        self.entered.release()
        assert self.is_open.wait(20)
        return values if len(values) > 1 else values[0]


class Echo(Gate):
    """A model that returns its inputs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open.set()


class Broken:
    """A model that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_values: Array) -> Array:
        """Raises."""
        raise self.error


@contextmanager
def served(
    model: Any,
    specs: Sequence[TensorSpec],
    limits: Limits,
    queue: int = 4,
    instances: int = 1,
    batch: int = 1,
) -> Any:
    """A client in this process of a server of the model `echo`, and its readiness."""
    outputs = [
        TensorSpec(name=spec.name.replace("_in", "_out"), shape=spec.shape, dtype=spec.dtype)
        for spec in specs
    ]
    found = signature("echo", "1.0+b0", specs, outputs)
    metrics = Metrics.of("echo")
    readiness = Readiness()
    pool = InstancePool([model] * instances, RequestQueue(queue, Batching(batch)), metrics)
    served_model = ServedModel(found, pool, metrics, limits, lambda: readiness.is_ready, (FakeMisuse,))
    with TestClient(application(served_model), raise_server_exceptions=False) as client:
        yield client, readiness


def zeros(spec: TensorSpec) -> npt.NDArray[Any]:
    """Zeros of a tensor."""
    return np.zeros(spec.shape, spec.dtype)
