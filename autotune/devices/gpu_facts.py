"""Facts of a GPU, from TVM's runtime and NVIDIA's driver; needs no compiler, so that boards can import it."""

from __future__ import annotations

import shutil
import subprocess

import tvm_ffi

Facts = dict[str, str | int]

_CUDA = 2
# TVM's numbers of device attributes.
_EXISTS, _COMPUTE, _NAME, _CLOCK, _MULTIPROCESSORS, _API = 0, 4, 5, 6, 7, 11
_CLOCKS = "clocks.applications.graphics,clocks.max.sm"
_QUERY_SECS = 20.0


def gpu_facts(index: int) -> Facts | None:
    """The facts of a GPU's fingerprint; None without such a GPU, its driver, or a TVM with CUDA.

    TVM's runtime must have been loaded. The process cannot fork children that use the GPU after this.
    """
    attribute = tvm_ffi.get_global_func("runtime.GetDeviceAttr", allow_missing=True)
    if attribute is None or not attribute(_CUDA, index, _EXISTS):
        return None
    return {
        "gpu_name": str(attribute(_CUDA, index, _NAME)),
        "driver": str(attribute(_CUDA, index, _API)),
        "compute_capability": str(attribute(_CUDA, index, _COMPUTE)),
        "max_clock_khz": int(attribute(_CUDA, index, _CLOCK) or 0),
        "multiprocessors": int(attribute(_CUDA, index, _MULTIPROCESSORS) or 0),
        **_clocks(index),
    }


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
