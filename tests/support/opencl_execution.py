"""Runs a schedule made for a GPU on this machine's processor: the same program as OpenCL C, through PoCL."""

from __future__ import annotations

import math
import re

import numpy as np
import pyopencl as cl
import tvm

from autotune.measurement.guarded_array import Array
from search_spaces.tensor_ir.modules import TensorSpec

_SIGNATURE = re.compile(r"__kernel void (\w+)\(([^)]*)\)\s*\{")
_AXES = ("x", "y", "z")


def run_as_opencl(
    module: tvm.IRModule, signature: tuple[TensorSpec, ...], inputs: list[Array]
) -> list[Array]:
    """The outputs of a module whose one kernel takes its parameters by their names."""
    built = tvm.tirx.build(module, target=tvm.target.Target({"kind": "opencl"}, host="llvm"))
    [part] = built.imports
    source = part.inspect_source()
    [(name, parameters)] = set(_SIGNATURE.findall(source))
    groups, threads = _launch(module)
    context = cl.Context([_device()])
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(cl.Program(context, source).build(), name)
    arrays = {}
    given = iter(inputs)
    for param, spec in zip(module["main"].params, signature, strict=True):
        values = np.full(spec.shape, np.nan, spec.dtype) if spec.is_output else next(given)
        buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=values)
        arrays[param.name] = (values, buffer, spec)
    words = [part.split()[-1].strip("*") for part in parameters.split(",")]
    kernel.set_args(*(arrays[word.removesuffix("_ptr")][1] for word in words))
    size = tuple(groups[axis] * threads[axis] for axis in _AXES)
    cl.enqueue_nd_range_kernel(queue, kernel, size, tuple(threads[axis] for axis in _AXES)).wait()
    outputs = []
    for values, buffer, spec in arrays.values():
        if spec.is_output:
            cl.enqueue_copy(queue, values, buffer).wait()
            outputs.append(values)
    return outputs


def _device() -> cl.Device:
    platforms = [each for each in cl.get_platforms() if "Portable" in each.name]
    assert platforms, "expected PoCL among the OpenCL platforms; apt-get install pocl-opencl-icd"
    return platforms[0].get_devices()[0]


def _launch(module: tvm.IRModule) -> tuple[dict[str, int], dict[str, int]]:
    """How many groups, and threads of a group, along each axis."""
    extents: dict[str, int] = {}

    statements = [module["main"].body]
    while statements:
        statement = statements.pop()
        if isinstance(statement, tvm.tirx.For) and statement.thread_binding is not None:
            tag = str(statement.thread_binding.thread_tag)
            extents[tag] = max(extents.get(tag, 1), int(statement.extent))
        for field in ("body", "block", "init", "then_case", "else_case"):
            child = getattr(statement, field, None)
            if child is not None:
                statements.append(child)
        statements.extend(getattr(statement, "seq", ()))
    groups = {axis: extents.get(f"blockIdx.{axis}", 1) for axis in _AXES}
    threads = {axis: extents.get(f"threadIdx.{axis}", 1) for axis in _AXES}
    assert math.prod(threads.values()) > 1
    return groups, threads
