"""The reference kernel on a board (imports TVM).

Runs in the worker process that talks to the board.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from autotune.builders.cpu_build import compile_kernel
from autotune.measurement.board_upload import Upload
from autotune.measurement.reference_kernel import (
    SIZE,
    TimedBatch,
    parallel_matmul,
    reference_secs,
    serial_matmul,
    speedup,
    timed_batch,
)
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import dump

_REPEATS = 5
_SPEEDUP_PAIRS = 10


@dataclass(frozen=True, slots=True)
class ReferenceKernel:
    """The reference kernel of boards with a target: compiled into a folder of this machine, once."""

    target: Target
    linker: str
    folder: Path

    def library(self, make: Callable[[int], tvm.IRModule]) -> Path:
        """The kernel's shared library, compiled if it is not there yet."""
        found = self.folder / f"{make.__name__}.so"
        if not found.exists():
            # Several workers may do this at once, each with an object file of its own: the last one wins.
            own = self.folder / f"{make.__name__}-{os.getpid()}.so"
            compile_kernel(dump(make(SIZE)), 1, self.target, own, self.linker)
            own.replace(found)
        return found


class BoardReference:
    """Reference kernels loaded in a session on a board."""

    def __init__(self, session: Any, upload: Upload, reference: ReferenceKernel) -> None:
        self._session, self._upload, self._reference = session, upload, reference
        rng = np.random.default_rng(0)
        self._arrays = [
            tvm.runtime.tensor(rng.random((SIZE, SIZE), np.float32), session.cpu()) for _ in range(3)
        ]
        self._parallel = self._loaded(parallel_matmul)

    def time_kernel(self) -> float:
        """Seconds of one call of the kernel on all threads: the median of five batches of about 2 ms."""
        return reference_secs(self._parallel, _REPEATS)

    def thread_speedup(self) -> float:
        """Speedup of the kernel on all threads over one thread, each at its fastest."""
        return speedup(self._loaded(serial_matmul), self._parallel, _SPEEDUP_PAIRS)

    def _loaded(self, make: Callable[[int], tvm.IRModule]) -> TimedBatch:
        library = self._upload.load_library(self._reference.library(make).read_bytes())

        def run(number: int) -> float:
            timer = library.time_evaluator("main", self._session.cpu(), number=number, repeat=1)
            return float(timer(*self._arrays).results[0])

        return timed_batch(run)
