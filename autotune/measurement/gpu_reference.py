"""The reference kernel on a GPU of this machine, of NVIDIA or behind OpenCL (imports TVM).

Runs in the worker process that measures candidates. Its time tells of lowered clocks, and of others at work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import tvm
from tvm import te
from tvm.s_tir import dlight

from autotune.builders.cuda_callback import use_cuda_compiler
from autotune.devices.opencl.runtime import load_opencl
from autotune.measurement.reference_kernel import reference_secs
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import normalize, tvm_target, with_host

#: Rows of the kernel, a matmul four times as deep: long against a launch, on GPUs and on processors behind OpenCL.
GPU_ROWS: Final = 256
PROCESSOR_ROWS: Final = 32
_REPEATS: Final = 7
_BATCH_SECS: Final = 0.002
_MOST_CALLS: Final = 200


def time_gpu_reference(target: Target, kind: str, index: int, rows: int) -> float:
    """Seconds of one call of a matmul, a thread for each result: the median of seven batches of about 2 ms, by the
    GPU's own events. kind, index: TVM's name of the device."""
    return reference_secs(_batch(target, kind, index, rows), _REPEATS)


@cache
def _batch(target: Target, kind: str, index: int, rows: int) -> Callable[[], float]:
    if kind == "opencl":
        load_opencl()
    device = tvm.device(kind, index)
    use_cuda_compiler()
    with tvm_target(target):
        scheduled = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(_matmul(rows))
        built = tvm.tirx.build(scheduled, target=with_host(target))
    with tempfile.TemporaryDirectory(prefix="autotune-reference-") as folder:
        # What is built for OpenCL runs once it was loaded.
        path = f"{folder}/kernel.so"
        built.export_library(path)
        library = tvm.runtime.load_module(path)
    rng = np.random.default_rng(0)
    shapes = ((rows, 4 * rows), (4 * rows, rows), (rows, rows))
    arrays = [tvm.runtime.tensor(rng.random(shape, np.float32), device) for shape in shapes]

    def run(number: int) -> float:
        timer = library.time_evaluator("main", device, number=number, repeat=1)
        return float(timer(*arrays).results[0])

    # The first call pays for what the driver does once.
    run(1)
    number = min(_MOST_CALLS, max(1, round(_BATCH_SECS / run(1))))
    return lambda: run(number)


def _matmul(rows: int) -> tvm.IRModule:
    left = te.placeholder((rows, 4 * rows), name="left")
    right = te.placeholder((4 * rows, rows), name="right")
    k = te.reduce_axis((0, 4 * rows), name="k")
    product = te.compute((rows, rows), lambda i, j: te.sum(left[i, k] * right[k, j], axis=k), name="product")
    return normalize(te.create_prim_func([left, right, product]))
