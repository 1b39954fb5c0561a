"""From a scheduled TIR function to code for an NVIDIA GPU, on machines that may not have one (imports TVM).

Runs in a worker process. Without a driver TVM compiles the host's part only and keeps the device's as source, so the
CUDA compiler is called here: a candidate counts as built when there is machine code for the GPU.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import tvm
from tvm.s_tir import dlight

from autotune.artifact import Compiled
from search_spaces.modules import load, tvm_target
from search_spaces.target import Target
from tuning_logs.gpu_resources import GpuResources

_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_SPILLS = re.compile(r"(\d+) bytes spill (?:stores|loads)")


def compile_gpu_kernel(module: str, target: Target, library: Path) -> Compiled:
    """Compiles a module's text into the library, for a target of kind cuda or a tag such as nvidia/nvidia-a100.

    A function that nobody scheduled gets TVM's plainest schedule for GPUs, so that it can run at all. Whatever is
    wrong with the candidate is raised as TVM's own exception, or as a RuntimeError with the compiler's words.
    """
    compiled_for = tvm_target(target)
    with compiled_for:
        scheduled = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(load(module))
        built = tvm.tirx.build(scheduled, target=tvm.target.Target(compiled_for, host="llvm"))
    resources = GpuResources(0, 0, 0)
    for number, part in enumerate(built.imports):
        code = library.with_name(f"{library.stem}-{number}.cu")
        code.write_text(part.inspect_source())
        try:
            resources = resources.largest(_compile(code, str(compiled_for.attrs["arch"])))
        finally:
            code.unlink()
    built.export_library(str(library))
    return Compiled((), resources)


def _compile(code: Path, arch: str) -> GpuResources:
    compiler = shutil.which("nvcc")
    if compiler is None:
        raise RuntimeError("no nvcc on the PATH, which compiles for NVIDIA GPUs; install the CUDA toolkit")
    cubin = code.with_suffix(".cubin")
    command = [compiler, "-cubin", f"-arch={arch}", "-O3", "--resource-usage", "-o", str(cubin), str(code)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not cubin.exists() or not cubin.stat().st_size:
            raise RuntimeError(f"nvcc made no machine code for {arch}: {done.stderr.strip()[-1500:]}")
    finally:
        cubin.unlink(missing_ok=True)
    return _resources(done.stderr)


def _resources(report: str) -> GpuResources:
    """What ptxas reports, the largest of its kernels."""
    return GpuResources(
        max(map(int, _REGISTERS.findall(report)), default=0),
        max(map(int, _SPILLS.findall(report)), default=0),
        max(map(int, _SHARED.findall(report)), default=0),
    )
