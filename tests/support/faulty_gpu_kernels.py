"""Kernels for GPUs that misbehave as candidates have: written for OpenCL and CUDA alike, in TVMScript."""

from __future__ import annotations

import os
from pathlib import Path

from tvm.script import from_source
from tvm.script import tirx as script

from autotune.builders.artifact import Artifact
from autotune.builders.gpu_build import KEEP_SOURCE, compile_gpu_kernel
from search_spaces.config import Config
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import FailureKind

_KERNEL = """
@T.prim_func(s_tir=True)
def main(x: T.Buffer((16,), "float32"), y: T.Buffer((16,), "float32")):
    T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True})
    @allocation@
    for i in T.thread_binding(16, thread="threadIdx.x"):
        with T.sblock("fault"):
            v = T.axis.spatial(16, i)
            T.reads(x[0:16])
            T.writes(@written@)
            @body@
    @more@
"""

_VAST = 1 << 44
_USING = """for i in T.thread_binding(16, thread="threadIdx.x"):
        with T.sblock("use"):
            v = T.axis.spatial(16, i)
            T.reads(vast[0:VAST])
            T.writes(y[0:16])
            y[v] = vast[v * T.int64(STEP)]""".replace("VAST", str(_VAST)).replace("STEP", str(_VAST // 16))

#: By name: lines of the kernel, and the kind of failure that it has to be.
GPU_FAULTS = {
    "endless": (
        {"body": "while x[v] < T.float32(3e38):\n                y[v] = y[v] + x[v]"},
        FailureKind.RUN_TIMEOUT,
    ),
    "illegal access": (
        {"body": f"y[v + T.int64({1 << 42})] = x[v]"},
        FailureKind.RUN_ERROR,
    ),
    "out of memory": (
        {
            "allocation": f'vast = T.sblock_alloc_buffer(({_VAST},), "float32")',
            "body": f"vast[v * T.int64({_VAST // 16})] = x[v]",
            "more": _USING,
        },
        FailureKind.OUT_OF_MEMORY,
    ),
}


def faulty_gpu_kernel(name: str, space: TensorIRSpace, folder: Path) -> Artifact:
    """The compiled kernel of that name, in place of the space's operator, which adds one to 16 numbers."""
    lines, _ = GPU_FAULTS[name]
    text = _KERNEL
    for place in ("allocation", "body", "more"):
        text = text.replace(f"@{place}@", lines.get(place, ""))
    text = text.replace("@written@", f"vast[0:{_VAST}]" if "vast" in text else "y[0:16]")
    module = modules.normalize(from_source(text.strip(), extra_vars={"T": script}))
    library = folder / "kernel.so"
    os.environ.update(KEEP_SOURCE)
    compiled = compile_gpu_kernel(modules.dump(module), space.task.target, library, "cc")
    signature = modules.signature(modules.load(space.task.workload.module))
    config = Config((("sketch", "faulty"),))
    return Artifact(space.task, config, library, 0.0, signature, gpu=compiled.gpu, cubin=compiled.cubin)
