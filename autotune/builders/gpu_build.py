"""From a scheduled TIR function to code for an NVIDIA GPU, on machines that may not have one (imports TVM).

Runs in a worker process whose TVM is told to keep the GPU's part as source, whether there is a driver or not. The CUDA
compiler is called here, once: a candidate counts as built when there is machine code, and that very code is run.
"""

from __future__ import annotations

from pathlib import Path

import tvm
from tvm.s_tir import dlight

from autotune.builders.artifact import Compiled
from autotune.builders.cuda_compiler import find_cuda_compiler
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import load, tvm_target

#: What the worker process needs in its environment.
KEEP_SOURCE = {"TVM_COMPILE_FORCE_FALLBACK": "1"}


def compile_gpu_kernel(module: str, target: Target, library: Path) -> Compiled:
    """Compiles a module's text: the host's part into the library, the GPU's into machine code.

    target: of kind cuda, or a tag such as nvidia/nvidia-a100. A function that nobody scheduled gets TVM's plainest
    schedule for GPUs, so that it can run at all. Whatever is wrong with the candidate is raised as TVM's own exception,
    or as a RuntimeError with the compiler's words.
    """
    compiled_for = tvm_target(target)
    with compiled_for:
        scheduled = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(load(module))
        built = tvm.tirx.build(scheduled, target=tvm.target.Target(compiled_for, host="llvm"))
    if len(built.imports) != 1:
        raise RuntimeError(f"expected code for the GPU in one module, found {len(built.imports)}")
    code = find_cuda_compiler().compile(built.imports[0].inspect_source(), str(compiled_for.attrs["arch"]))
    built.export_library(str(library))
    return Compiled((), code.resources, code.cubin)
