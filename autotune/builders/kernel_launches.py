"""Launches of GPU kernels, read while a module is compiled, and the occupancy that they leave (imports TVM)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.instrument import PassInstrument, pass_instrument

from autotune.builders.occupancy import multiprocessor_of
from search_spaces.tensor_ir.contained_nodes import contained_nodes
from tuning_logs.records.gpu_resources import GpuResources

# Before this pass the host calls kernels with their grid, their block and dynamic shared memory as plain arguments.
_BEFORE = "tirx.MakePackedAPI"
_CALL = "tirx.call_ffi_kernel"
_DYNAMIC = "tirx.use_dyn_shared_memory"
_THREAD = "threadIdx."


@dataclass(frozen=True, slots=True)
class KernelLaunch:
    """Threads and dynamic shared memory of a block."""

    threads: int
    dynamic_shared_bytes: int


def launch_reader(found: list[KernelLaunch]) -> PassInstrument:
    """An instrument that appends the launches of the module that is compiled, those of constant size."""

    @pass_instrument
    class LaunchReader:
        def run_before_pass(self, module: tvm.IRModule, info: tvm.transform.PassInfo) -> None:
            if str(info.name) == _BEFORE:
                found.extend(kernel_launches(module))

    return LaunchReader()


def kernel_launches(module: tvm.IRModule) -> list[KernelLaunch]:
    """The launches in a module whose kernels are split off; those whose blocks have a size at run time are left out."""
    bodies = [func.body for func in module.functions.values() if isinstance(func, tirx.PrimFunc)]
    calls = [call for body in bodies for call in contained_nodes(body, tvm.ir.Call)]
    launches = [_launch(call) for call in calls if getattr(call.op, "name", "") == _CALL]
    return [each for each in launches if each is not None]


def with_occupancy(resources: GpuResources, launches: list[KernelLaunch], arch: str) -> GpuResources:
    """The resources with the largest of the launches, and the occupancy where the architecture is known."""
    if not launches:
        return resources
    threads = max(each.threads for each in launches)
    dynamic = max(each.dynamic_shared_bytes for each in launches)
    processor = multiprocessor_of(arch)
    shared = resources.shared_bytes + dynamic
    occupancy = None if processor is None else processor.occupancy(threads, resources.registers, shared)
    return replace(resources, dynamic_shared_bytes=dynamic, threads=threads, occupancy=occupancy)


def _launch(call: Any) -> KernelLaunch | None:
    names = [str(name) for name in call.attrs.launch_params]
    sizes = dict(zip(names, list(call.args)[len(call.args) - len(names) :], strict=True))
    block = [size for name, size in sizes.items() if name.startswith(_THREAD)]
    dynamic = sizes.get(_DYNAMIC, tirx.IntImm("int64", 0))
    if not all(isinstance(size, tirx.IntImm) for size in (*block, dynamic)):
        return None
    return KernelLaunch(prod(int(size) for size in block), int(dynamic))
