"""Kinds of GPU that are not here: legal candidates become code; that for OpenCL computes the right numbers on PoCL."""

from __future__ import annotations

import os
import re
import shutil
from ctypes.util import find_library
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tvm
from gpu_candidates import legal
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders import rocm_libraries
from autotune.builders.gpu_build import compile_gpu_kernel
from autotune.deployment.compilation import compile
from autotune.deployment.engine import draw
from autotune.deployment.executable import load
from autotune.deployment.kernel_pool import CallPlace, KernelPool
from autotune.deployment.library import CallContext, Library
from autotune.devices.device_url import parse_device
from autotune.measurement.inputs import Signs, draw_inputs
from autotune.measurement.output_check import compare
from autotune.models.model import load_model
from search_spaces.errors import AutotuneError, Misuse
from search_spaces.fork_lock import ForkLock
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.file.log import TuningLog

LIMITS = "-max_threads_per_block=128 -max_num_threads=128 -max_shared_memory_per_block=16384"
OPENCL = ("qcom/adreno-opencl", f"opencl -device=mali {LIMITS}", f"opencl -device=intel_graphics {LIMITS}")
KINDS = {"metal": "kernel void", "apple/m1-gpu": "kernel void", "webgpu": "@compute"}
_THREADS = re.compile(r'thread_binding\((\d+), thread="(threadIdx\.\w)"')
ROCM = ("gfx90a", "gfx942", "gfx1100")
needs_opencl = pytest.mark.skipif(
    find_library("OpenCL") is None, reason="not run without OpenCL (apt-get install pocl-opencl-icd)"
)
needs_rocm = pytest.mark.skipif(
    not any(Path(place, "ocml.bc").is_file() for place in rocm_libraries._FOLDERS),
    reason="not run without AMD's device libraries (apt-get install rocm-device-libs)",
)


def space_of(target: str) -> TensorIRSpace:
    func = te.create_prim_func(te_workload.matmul(32, 32, 32))
    return TensorIRSpace(TuningTask(modules.workload(func, "matmul"), Target.parse(target)))


def threads_of(module: tvm.IRModule) -> int:
    """The threads of a group."""
    extents = {tag: int(extent) for extent, tag in _THREADS.findall(module.script())}
    assert extents
    return prod(extents.values())


def source_of(candidate: Candidate) -> str:
    built = tvm.tirx.build(candidate.schedule.mod, target=modules.with_host(candidate.task.target))
    return str(built.imports[0].inspect_source())


@needs_opencl
@pytest.mark.parametrize("target", OPENCL)
def test_code_for_opencl_stays_within_the_limits_and_computes_the_right_numbers(
    target: str, tmp_path: Path
) -> None:
    from opencl_execution import run_library

    space = space_of(target)
    signature = modules.signature(modules.load(space.task.workload.module))
    left, right = inputs = draw_inputs(space.task.key, signature, Signs.MIXED)
    reference = np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.float32)
    limit = int(modules.tvm_target(space.task.target).attrs["max_threads_per_block"])
    for number, candidate in enumerate(legal(space, 2)):
        assert threads_of(candidate.schedule.mod) <= limit
        library = tmp_path / f"{number}.so"
        compile_gpu_kernel(modules.dump(candidate.schedule.mod), space.task.target, library, "cc")
        [output] = run_library(library, signature, inputs)
        assert compare(output, reference, 32).mistake is None, candidate.config


@needs_opencl
def test_a_model_for_opencl_runs_at_once_and_where_it_is_loaded(small_network: Path, tmp_path: Path) -> None:
    model, device = load_model(small_network), parse_device("opencl:0")
    built = compile(model, device.target, TuningLog.in_memory(), device.fingerprint)
    inputs = draw(model.inputs, 0)
    [expected] = onnxruntime.InferenceSession(small_network).run(
        None, {spec.name: value for spec, value in zip(model.inputs, inputs, strict=True)}
    )

    np.testing.assert_allclose(built(*inputs), expected, rtol=1e-4, atol=1e-5)
    loaded = load(built.save(tmp_path / "model.so"))
    np.testing.assert_allclose(loaded(*inputs), expected, rtol=1e-4, atol=1e-5)


def test_kernels_that_a_driver_refuses_are_no_fault_of_the_inputs() -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("Device a GPU failed to build the program")

    library = Library(None, "opencl")
    pool = KernelPool(1, CallPlace.KERNEL_THREAD)
    library._contexts[os.getpid()] = CallContext({"main": refuse}, "cpu", pool, ForkLock())

    with pytest.raises(
        AutotuneError, match=r"driver of opencl .* failed to build the program.*halves"
    ) as caught:
        library.run("main", [np.zeros(2, np.float16)])
    assert caught.value.code == "AT716"


@pytest.mark.parametrize("target", KINDS)
def test_candidates_become_source_for_metal_and_webgpu(target: str) -> None:
    sources = []
    for candidate in legal(space_of(target), 3):
        try:
            sources.append(source_of(candidate))
        except RuntimeError:
            # TVM cannot lower some of them.
            continue
    assert sources
    assert all(KINDS[target] in source for source in sources)


@needs_rocm
@pytest.mark.parametrize("arch", ROCM)
def test_candidates_become_code_for_amd(arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The linkers of today's systems are older than TVM's LLVM; what they would link is looked at.
    monkeypatch.setattr(rocm_libraries, "_LINKERS", ("cc",))
    objects: list[bytes] = []
    monkeypatch.setattr(rocm_libraries, "_link", lambda _, code: objects.append(code) or bytearray(code))
    [candidate] = legal(space_of(f"rocm -mcpu={arch}"), 1)
    library = tmp_path / "kernel.so"
    compile_gpu_kernel(modules.dump(candidate.schedule.mod), candidate.task.target, library, "cc")
    # An ELF file for AMD's GPUs: machine number 224.
    assert objects[0][:4] == b"\x7fELF"
    assert int.from_bytes(objects[0][18:20], "little") == 224


def test_without_amds_libraries_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rocm_libraries, "_FOLDERS", (str(tmp_path),))
    with pytest.raises(AutotuneError, match="found no rocm-device-libs; apt-get install rocm-device-libs"):
        rocm_libraries.use_rocm_libraries("gfx90a")


def test_vulkan_has_no_back_end() -> None:
    with pytest.raises(Misuse, match="found 'vulkan'; take 'opencl' for the same device"):
        space_of("vulkan")


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-gcc") is None, reason="not run without the arm64 compiler"
)
def test_the_host_may_be_another_machine(tmp_path: Path) -> None:
    target = Target.parse("opencl -device=mali -host=aarch64-linux-gnu")
    func = te.create_prim_func(te_workload.matmul(32, 32, 32))
    library = tmp_path / "kernel.so"
    compile_gpu_kernel(modules.dump(modules.normalize(func)), target, library, "aarch64-linux-gnu-gcc")
    assert int.from_bytes(library.read_bytes()[18:20], "little") == 183
