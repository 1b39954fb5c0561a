"""Runs a schedule made for a GPU on this machine's processor: the same program as OpenCL C, through PoCL."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tvm

from autotune.devices.opencl.runtime import load_opencl
from autotune.measurement.guarded_array import Array
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import TensorSpec, with_host


def run_as_opencl(
    module: tvm.IRModule, signature: tuple[TensorSpec, ...], inputs: list[Array]
) -> list[Array]:
    """The outputs of a scheduled module."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "kernel.so")
        tvm.tirx.build(module, target=with_host(Target("opencl"))).export_library(str(library))
        return run_library(library, signature, inputs)


def run_library(library: Path, signature: tuple[TensorSpec, ...], inputs: list[Array]) -> list[Array]:
    """The outputs of a library's function on the first OpenCL device."""
    load_opencl()
    device, given = tvm.device("opencl", 0), iter(inputs)
    values = [
        np.full(spec.shape, np.nan, spec.dtype) if spec.is_output else next(given) for spec in signature
    ]
    arguments = [tvm.runtime.tensor(value, device) for value in values]
    tvm.runtime.load_module(str(library))["main"](*arguments)
    return [array.numpy() for array, spec in zip(arguments, signature, strict=True) if spec.is_output]
