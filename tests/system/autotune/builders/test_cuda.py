"""NVIDIA GPUs on a machine without one: candidates are proposed, verified, compiled, and their numerics checked."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest
import tvm
from emulated_gpu import check_on_emulated_gpu
from gpu_candidates import legal
from rpc_boards import Boards
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from autotune.builders import cuda_compiler, gpu_build
from autotune.builders.artifact import Artifact
from autotune.builders.cuda_compiler import MachineCode, Nvrtc
from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.measurement.inputs import Signs, draw_inputs
from autotune.measurement.output_check import compare
from autotune.runners.factory import open_runner
from autotune.search.samplers import SamplerKind, sampler_factory
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces.decision import Decision
from search_spaces.errors import AutotuneError, IllegalSchedule, Misuse
from search_spaces.space import Candidate
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.file.log import TuningLog
from tuning_logs.records.gpu_resources import GpuResources
from tuning_logs.records.measurement import Failure, FailureKind, Timing

GPUS = ("nvidia/nvidia-a100", "nvidia/geforce-rtx-4090")
KERNEL = 'extern "C" __global__ void kernel(float* x) { x[0] = 1.0f; }'
# What the GPU of this machine is, where there is one.
TEST_GPU = os.environ.get("AUTOTUNE_TEST_GPU", GPUS[0])
needs_nvcc = pytest.mark.skipif(
    shutil.which("nvcc") is None, reason="not run without nvcc (the CUDA toolkit)"
)
needs_pocl = pytest.mark.skipif(
    find_library("OpenCL") is None, reason="not run without OpenCL (apt-get install pocl-opencl-icd)"
)


@pytest.fixture(scope="module")
def builder() -> Iterator[LocalBuilder]:
    with LocalBuilder(timeout_secs=60.0) as builder:
        yield builder


def space_of(gpu: str) -> TensorIRSpace:
    func = te.create_prim_func(te_workload.matmul(128, 128, 128))
    return TensorIRSpace(TuningTask(modules.workload(func, "matmul"), Target(gpu)))


@needs_nvcc
@pytest.mark.parametrize("gpu", GPUS)
def test_candidates_become_machine_code_for_the_gpu(gpu: str, builder: LocalBuilder) -> None:
    space = space_of(gpu)
    artifacts = builder.build([space.apply(space.default), *legal(space, 3)])
    for artifact in artifacts:
        assert isinstance(artifact, Artifact), artifact
        assert artifact.gpu is not None
        assert 0 < artifact.gpu.registers <= 255
        assert artifact.library.exists()
        assert artifact.cubin is not None
        assert artifact.cubin.startswith(b"\x7fELF")
        assert artifact.gpu.threads in range(1, 1025)
        assert artifact.gpu.occupancy is not None
        assert 0.0 < artifact.gpu.occupancy <= 1.0
    assert any(one.gpu.shared_bytes > 0 for one in artifacts if isinstance(one, Artifact) and one.gpu)


@pytest.mark.parametrize("gpu", GPUS)
def test_nvrtc_makes_machine_code_without_a_toolkit(gpu: str) -> None:
    [candidate] = legal(space_of(gpu), 1)
    target = modules.tvm_target(candidate.task.target)
    with target:
        built = tvm.tirx.build(candidate.schedule.mod, target=tvm.target.Target(target, host="llvm"))
    source, arch = built.imports[0].inspect_source(), str(target.attrs["arch"])
    code = Nvrtc().compile(source, arch)
    assert code.cubin.startswith(b"\x7fELF")
    assert 0 < code.resources.registers <= 255
    with pytest.raises(RuntimeError, match=r"NVRTC made no machine code for sm_80.*undefined_here"):
        Nvrtc().compile('extern "C" __global__ void kernel() { undefined_here(); }', "sm_80")


def test_nvrtc_is_found_where_cuda_13_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {name: cuda_compiler._package(name) for name in ("cuda_nvrtc", "cuda_runtime", "cuda_cccl")}
    places = {"cuda_nvrtc": "lib", "cuda_runtime": "include", "cuda_cccl": "include/cccl"}
    for name, place in places.items():
        folder = known[name]
        assert folder is not None
        (tmp_path / "cu13" / place).mkdir(parents=True)
        for file in (folder / place.partition("/")[0]).iterdir():
            (tmp_path / "cu13" / place / file.name).symlink_to(file)
    monkeypatch.setattr(cuda_compiler, "_package", {"cu13": tmp_path / "cu13"}.get)

    code = Nvrtc().compile("#include <cuda_fp16.h>\n#include <cuda/std/cstdint>\n" + KERNEL, "sm_90")

    assert code.cubin.startswith(b"\x7fELF")


def test_nvcc_is_found_in_the_usual_folder_of_the_toolkit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "toolkit" / "nvcc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cuda_compiler, "_TOOLKIT", str(compiler.parent))
    cuda_compiler.find_cuda_compiler.cache_clear()
    try:
        assert cuda_compiler.find_cuda_compiler() == cuda_compiler.Nvcc(str(compiler))
    finally:
        cuda_compiler.find_cuda_compiler.cache_clear()


def test_without_nvcc_candidates_are_built_by_nvrtc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Enough to link the host's part, and no nvcc.
    for tool in ("cc", "gcc", "g++", "c++", "as", "ld", "collect2"):
        if path := shutil.which(tool):
            (tmp_path / tool).symlink_to(path)
    monkeypatch.setenv("PATH", str(tmp_path))
    space = space_of(GPUS[1])
    with LocalBuilder(workers=1, timeout_secs=60.0) as builder:
        [artifact] = builder.build(legal(space, 1))
    assert isinstance(artifact, Artifact), artifact
    assert artifact.cubin is not None
    assert artifact.gpu is not None
    assert artifact.gpu.registers > 0


@needs_nvcc
def test_what_the_cuda_compiler_refuses_is_a_build_error(builder: LocalBuilder) -> None:
    space = space_of(GPUS[0])
    [candidate] = legal(space, 1)
    task = TuningTask(space.task.workload, Target("cuda", (("arch", "sm_1"), ("max_num_threads", 1024))))
    [failure] = builder.build([Candidate(task, candidate.config, candidate.schedule)])
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.BUILD_ERROR
    assert "sm_1" in failure.message


def test_what_spills_more_than_its_registers_is_no_candidate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Spilling:
        def compile(self, _source: str, _arch: str) -> MachineCode:
            return MachineCode(b"", GpuResources(registers=255, spill_bytes=1024, shared_bytes=0))

    monkeypatch.setattr(gpu_build, "find_cuda_compiler", Spilling)
    monkeypatch.setenv("TVM_COMPILE_FORCE_FALLBACK", "1")
    [candidate] = legal(space_of(GPUS[0]), 1)
    module = modules.dump(candidate.schedule.mod)
    with pytest.raises(RuntimeError, match="a thread spills 1024 bytes"):
        gpu_build.compile_gpu_kernel(module, candidate.task.target, tmp_path / "kernel.so", "cc")


def test_what_a_gpu_cannot_hold_is_illegal() -> None:
    space = space_of(GPUS[0])
    rng = random.Random(1)
    reasons = []
    for _ in range(60):
        try:
            space.apply(lambda decision: rng.randrange(len(decision.choices)))
        except IllegalSchedule as error:
            reasons.append(str(error))
    assert any("VerifyGPUCode" in reason for reason in reasons)


@needs_pocl
@pytest.mark.parametrize("gpu", GPUS)
def test_the_same_schedules_compute_the_same_as_opencl(gpu: str) -> None:
    from opencl_execution import run_as_opencl

    space = space_of(gpu)
    signature = modules.signature(modules.load(space.task.workload.module))
    left, right = inputs = draw_inputs(space.task.key, signature, Signs.MIXED)
    reference = np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.float32)
    for candidate in legal(space, 3):
        [output] = run_as_opencl(candidate.schedule.mod, signature, inputs)
        assert compare(output, reference, 128).mistake is None, candidate.config


def tuned(device: Device) -> TuningLog:
    """The log of a short job."""
    func = te.create_prim_func(te_workload.matmul(64, 64, 64))
    task = TuningTask(modules.workload(func, "matmul"), device.target)
    log = TuningLog.in_memory()
    job = TuningJob((task,), device, Budget(trials=4), sampler=sampler_factory(SamplerKind.RANDOM), batch=4)
    records = [record for found in Tuner(job, log).rounds() for record in found]
    timed = [record for record in records[1:] if isinstance(record.measurement, Timing)]
    assert timed, records
    assert all(record.gpu is not None and record.gpu.registers > 0 for record in timed)
    assert all(record.check is not None and record.check.max_rel_error < 1e-4 for record in timed)
    assert log.devices()[0].facts["gpu_name"]
    return log


def test_a_job_on_a_gpu() -> None:
    if not tvm.cuda(0).exist:
        with pytest.raises(AutotuneError, match="expected an NVIDIA GPU number 0 and its driver"):
            parse_device(f"cuda:0?target={TEST_GPU}")
        pytest.skip("no GPU here: what runs on one was run on an emulated one only")
    tuned(parse_device(f"cuda:0?target={TEST_GPU}"))


@pytest.mark.parametrize("dtype", ["float16", "int8", "float32"])
def test_a_job_on_a_gpu_splits_long_sums(dtype: str, builder: LocalBuilder) -> None:
    if not tvm.cuda(0).exist:
        pytest.skip("no GPU here: sums in parts were run by an emulated one only")
    device = parse_device(f"cuda:0?target={TEST_GPU}")
    total = "int32" if dtype == "int8" else "float32"
    func = te.create_prim_func(te_workload.matmul(32, 24, 2048, dtype, total))
    space = TensorIRSpace(TuningTask(modules.workload(func, "matmul"), device.target))
    split = next(sketch for sketch in space.sketches if "split" in sketch.name)
    rng = random.Random(1)

    def choose(decision: Decision) -> int:
        first = decision.name == "sketch"
        return decision.choices.index(split.name) if first else rng.randrange(len(decision.choices))

    with open_runner(device) as runner:
        found = runner.run(builder.build([space.apply(space.default), space.apply(choose)]))
    assert isinstance(found[1].measurement, Timing), found
    assert found[1].check is not None
    assert found[1].check.max_rel_error < 1e-4


def test_a_job_on_a_gpu_takes_shared_memory_that_has_to_be_asked_for(builder: LocalBuilder) -> None:
    if not tvm.cuda(0).exist:
        pytest.skip("no GPU here: launches with more than 48 KiB were played by an emulated one only")
    device = parse_device(f"cuda:0?target={TEST_GPU}")
    func = te.create_prim_func(te_workload.matmul(128, 128, 256, "float16", "float32"))
    space = TensorIRSpace(TuningTask(modules.workload(func, "matmul"), device.target))
    # Two stages of two operands of 128 rows and 64 padded columns: 73,728 bytes.
    wanted = {"sketch": "mma-128x128", "tile-2": (4, 4), "mma-128x128/stages-0": 2, "stages-0": 2}

    def choose(decision: Decision) -> int:
        known = wanted.get(decision.name)
        return decision.choices.index(known) if known in decision.choices else 0

    with open_runner(device) as runner:
        found = runner.run(builder.build([space.apply(space.default), space.apply(choose)]))
    assert isinstance(found[1].measurement, Timing), found
    assert found[1].check is not None
    assert found[1].check.max_rel_error < 1e-4


def test_a_job_on_a_board_with_a_gpu(tmp_path: Path) -> None:
    if not tvm.cuda(0).exist:
        pytest.skip("no GPU here: boards with one were played by an emulated one only")
    boards = Boards(tmp_path)
    try:
        boards.start("gpu", "--gpu", "0")
        device = parse_device(f"rpc://{boards.tracker}/gpu?target={TEST_GPU}")
        assert device.fingerprint.key == parse_device(f"cuda:0?target={TEST_GPU}").fingerprint.key
        tuned(device)
        with pytest.raises(Misuse, match="expected a target for what the boards under 'gpu' serve"):
            parse_device(f"rpc://{boards.tracker}/gpu?target=llvm -num-cores=1")
    finally:
        boards.close()


@pytest.mark.long
@pytest.mark.skipif(tvm.cuda(0).exist, reason="a real GPU is here")
def test_on_an_emulated_gpu_the_jobs_run(tmp_path: Path) -> None:
    check_on_emulated_gpu(__file__, "test_a_job_on_a", 6, tmp_path)


@pytest.mark.parametrize("url", ["cuda:x?target=nvidia/nvidia-a100", "cuda:0", "cuda:0?arch=sm_80"])
def test_a_gpu_is_named_with_its_number_and_target(url: str) -> None:
    with pytest.raises(Misuse, match="a GPU with its number and TVM's tag"):
        parse_device(url)
