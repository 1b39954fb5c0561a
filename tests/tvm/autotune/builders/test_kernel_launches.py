"""Launches of GPU kernels, as the host code of a compiled module has them."""

from __future__ import annotations

import tvm
from mma_programs import drawn
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders.kernel_launches import KernelLaunch, launch_reader, with_occupancy
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.mma_intrinsics import code_generation
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import GpuResources


def test_a_kernel_on_tensor_cores_asks_for_dynamic_shared_memory() -> None:
    func = te.create_prim_func(te_workload.matmul(128, 128, 128, "float16", "float32"))
    task = TuningTask(modules.workload(func, "matmul"), Target("nvidia/nvidia-a100"))
    candidate = drawn(TensorIRSpace(task), 0)
    launches: list[KernelLaunch] = []
    target = modules.tvm_target(task.target)
    with target, code_generation(target, launch_reader(launches)):
        built = tvm.tirx.build(candidate.schedule.mod, target=tvm.target.Target(target, host="llvm"))
    [launch] = launches
    assert f"__launch_bounds__({launch.threads})" in built.imports[0].inspect_source()
    assert 0 < launch.dynamic_shared_bytes <= 164 * 1024
    found = with_occupancy(GpuResources(64, 0, 0), launches, "sm_80")
    assert (found.threads, found.dynamic_shared_bytes) == (launch.threads, launch.dynamic_shared_bytes)
    assert found.occupancy is not None
    assert 0.0 < found.occupancy <= 1.0


def test_of_several_kernels_the_largest_launch_counts() -> None:
    launches = [KernelLaunch(64, 49152), KernelLaunch(256, 0)]
    found = with_occupancy(GpuResources(32, 0, 0), launches, "sm_80")
    assert (found.threads, found.dynamic_shared_bytes, found.occupancy) == (256, 49152, 0.375)
    assert with_occupancy(GpuResources(32, 0, 0), launches, "gfx90a").occupancy is None
    assert with_occupancy(GpuResources(32, 0, 0), [], "sm_80") == GpuResources(32, 0, 0)
