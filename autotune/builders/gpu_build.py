"""Compilation of a scheduled TIR function for a GPU, on machines that may not have one (imports TVM).

Runs in a worker process whose environment has TVM keep an NVIDIA GPU's part as source, with a driver or without. The
CUDA compiler is called here, once: a candidate counts as built when there is machine code, and that code is run.
OpenCL C and WebGPU's language travel as source and are compiled by the device's own driver.
"""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm.s_tir import dlight

from autotune.builders.artifact import Compiled
from autotune.builders.cuda_compiler import find_cuda_compiler
from autotune.builders.kernel_launches import KernelLaunch, launch_reader, with_occupancy
from autotune.builders.rocm_libraries import use_rocm_libraries
from search_spaces.target import Target
from search_spaces.tensor_ir.mma_intrinsics import code_generation
from search_spaces.tensor_ir.modules import load, tvm_target, with_host

#: Environment variables of the worker process.
KEEP_SOURCE = {"TVM_COMPILE_FORCE_FALLBACK": "1"}
_CUDA, _ROCM = "cuda", "rocm"
# As many as a thread's registers have: a kernel that spills more works in memory instead of in them.
_MOST_SPILL_BYTES = 255 * 4


def compile_gpu_kernel(module: str, target: Target, library: Path, linker: str) -> Compiled:
    """Compiles a module's text: the host's part into the library, the GPU's into machine code or source.

    target: a GPU's kind, or a tag such as nvidia/nvidia-a100; linker: a C compiler driver for the host. An unscheduled
    function gets TVM's fallback schedule for GPUs, so that it can run at all. Raises TVM's own exceptions for a
    candidate that does not compile, and RuntimeError with the output of the CUDA compiler.
    """
    compiled_for = tvm_target(target)
    kind = str(compiled_for.kind.name)
    if kind == _ROCM:
        use_rocm_libraries(str(compiled_for.attrs["mcpu"]))
    launches: list[KernelLaunch] = []
    with compiled_for, code_generation(compiled_for, launch_reader(launches)):
        scheduled = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(load(module))
        built = tvm.tirx.build(scheduled, target=with_host(target))
    if len(built.imports) != 1:
        raise RuntimeError(f"expected code for the GPU in one module, found {len(built.imports)}")
    compiled = Compiled()
    if kind == _CUDA:
        arch = str(compiled_for.attrs["arch"])
        code = find_cuda_compiler().compile(built.imports[0].inspect_source(), arch)
        if code.resources.spill_bytes > _MOST_SPILL_BYTES:
            raise RuntimeError(
                f"a thread spills {code.resources.spill_bytes} bytes, more than its registers have"
            )
        compiled = Compiled((), with_occupancy(code.resources, launches, arch), code.cubin)
    built.export_library(str(library), fcompile=tvm.support.cc.cross_compiler(linker))
    return compiled
