"""Candidates on tensor cores, and their CUDA C++ run by this machine's processor."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import tvm
from emulated_kernel import run_kernel

from autotune.measurement.guarded_array import Array
from search_spaces.decision import Decision
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.mma_intrinsics import code_generation
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

A100 = Target("nvidia/nvidia-a100")


def space_of(func: tvm.tirx.PrimFunc, target: Target = A100) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(func, "product"), target))


def is_one_kernel(sketch: str) -> bool:
    return sketch.startswith("mma-") and "split" not in sketch


def drawn(space: TensorIRSpace, seed: int) -> Candidate:
    """A random candidate on tensor cores, of one kernel (`test_cuda.py` has the others); whatever is drawn is legal."""
    rng = random.Random(seed)

    def choose(decision: Decision) -> int:
        if decision.name == "sketch":
            return rng.choice(
                [place for place, name in enumerate(decision.choices) if is_one_kernel(str(name))]
            )
        return rng.randrange(len(decision.choices))

    return space.apply(choose)


def cuda_source(candidate: Candidate) -> str:
    target = modules.tvm_target(candidate.task.target)
    with target, code_generation(target):
        built = tvm.tirx.build(candidate.schedule.mod, target=tvm.target.Target(target, host="llvm"))
    return str(built.imports[0].inspect_source())


def aligned(values: Array) -> Array:
    """A copy that starts at a multiple of 64 bytes."""
    memory = np.empty(values.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def unwritten(dtype: str) -> float:
    return -1 if dtype == "int32" else np.nan


def result(candidate: Candidate, inputs: list[Array], folder: Path) -> Array:
    specs = modules.signature(modules.load(candidate.task.workload.module))
    given = iter(inputs)
    arrays = [
        aligned(np.full(one.shape, unwritten(one.dtype), one.dtype) if one.is_output else next(given))
        for one in specs
    ]
    run_kernel(cuda_source(candidate), candidate.schedule.mod.script(), arrays, folder)
    return next(array for array, one in zip(arrays, specs, strict=True) if one.is_output)


def values(shape: tuple[int, ...], dtype: object = np.float16) -> Array:
    if dtype == np.int8:
        return np.random.default_rng(len(shape)).integers(-128, 128, shape).astype(np.int8)
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)
