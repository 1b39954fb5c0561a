"""Facts of a GPU, from TVM's runtime and NVIDIA's driver; needs no compiler, so that boards can import it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import tvm_ffi

Facts = dict[str, str | int]

# DLPack's numbers of device types.
_CUDA, _OPENCL = 2, 4
# TVM's numbers of device attributes.
_EXISTS, _MOST_THREADS, _SHARED_BYTES, _COMPUTE, _NAME, _CLOCK, _MULTIPROCESSORS = 0, 1, 3, 4, 5, 6, 7
_API, _DRIVER, _CACHE_BYTES = 11, 12, 13
_CLOCKS = "clocks.applications.graphics,clocks.max.sm"
_QUERY_SECS = 20.0


def gpu_facts(index: int) -> Facts | None:
    """The facts of an NVIDIA GPU's fingerprint; None without such a GPU, its driver, or a TVM with CUDA.

    TVM's runtime must have been loaded. The process cannot fork children that use the GPU after this.
    """
    attribute = _attributes(_CUDA, index)
    if attribute is None:
        return None
    return {
        "gpu_name": str(attribute(_NAME)),
        "driver": str(attribute(_API)),
        "compute_capability": str(attribute(_COMPUTE)),
        "max_clock_khz": int(attribute(_CLOCK) or 0),
        "multiprocessors": int(attribute(_MULTIPROCESSORS) or 0),
        **_clocks(index),
    }


def opencl_facts(index: int) -> Facts | None:
    """The facts of an OpenCL device's fingerprint, by its number among those of all platforms; None without it.

    TVM's OpenCL runtime must have been loaded (`load_opencl`).
    """
    attribute = _attributes(_OPENCL, index)
    if attribute is None:
        return None
    return {
        "gpu_name": str(attribute(_NAME)),
        "driver": str(attribute(_DRIVER)),
        "device_type": str(tvm_ffi.get_global_func("autotune.opencl.device_type")(index)),
        "opencl_version": str(attribute(_COMPUTE)),
        "max_clock_khz": int(attribute(_CLOCK) or 0),
        "compute_units": int(attribute(_MULTIPROCESSORS) or 0),
        "max_work_group_size": int(attribute(_MOST_THREADS)),
        "local_memory_bytes": int(attribute(_SHARED_BYTES)),
        "cache_bytes": int(attribute(_CACHE_BYTES) or 0),
    }


def _attributes(kind: int, index: int) -> Callable[[int], Any] | None:
    """A function from the number of an attribute to its value; None where there is no such device."""
    attribute = tvm_ffi.get_global_func("runtime.GetDeviceAttr", allow_missing=True)
    if attribute is None or not attribute(kind, index, _EXISTS):
        return None
    return lambda number: attribute(kind, index, number)


def _clocks(index: int) -> Facts:
    """The clocks that the driver is set to, where it reports them: a GPU at other clocks is another device."""
    query = shutil.which("nvidia-smi")
    if query is None:
        return {}
    command = [query, f"--id={index}", f"--query-gpu={_CLOCKS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUERY_SECS, check=False)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in done.stdout.split(",")]
    names = ("applications_clock_mhz", "max_sm_clock_mhz")
    return {name: int(value) for name, value in zip(names, values, strict=False) if value.isdigit()}
