"""One candidate costs one candidate on GPUs as well, and a slow device is told from slow candidates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
import tvm
from faulty_gpu_kernels import GPU_FAULTS, faulty_gpu_kernel
from faulty_kernels import built

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.connection import OpenCl
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.runners.gpu_runner import gpu_runner, opencl_runner
from autotune.runners.local_runner import LocalRunner
from autotune.runners.runner import TrialLimits
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs.records.measurement import Failure, Timing

pytestmark = pytest.mark.alone
TEST_GPU = os.environ.get("AUTOTUNE_TEST_GPU", "nvidia/nvidia-a100")
# A driver compiles kernels within it, on a busy machine too.
TIMEOUT_SECS = 12.0
QUICK = ("out of memory",)


@pytest.fixture(scope="module", params=["opencl", "cuda"])
def device(request: pytest.FixtureRequest) -> Device:
    if request.param == "opencl":
        if find_library("OpenCL") is None:
            pytest.skip("not run without OpenCL (apt-get install pocl-opencl-icd)")
        return parse_device("opencl:0")
    if not tvm.cuda(0).exist:
        pytest.skip("no GPU here: what its errors leave behind was played on a processor only")
    return parse_device(f"cuda:0?target={TEST_GPU}")


@pytest.fixture(scope="module")
def runner(device: Device) -> Iterator[LocalRunner]:
    opened = opencl_runner if isinstance(device.via, OpenCl) else gpu_runner
    with opened(device, 0, limits=TrialLimits(TIMEOUT_SECS)) as runner:
        yield runner


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in QUICK else pytest.mark.long) for one in GPU_FAULTS]
)
def test_the_next_candidate_runs_after_a_fault(
    name: str, runner: LocalRunner, builder: LocalBuilder, space: TensorIRSpace, tmp_path: Path
) -> None:
    [first] = runner.run(built(builder, space))
    assert isinstance(first.measurement, Timing), first
    [outcome] = runner.run([faulty_gpu_kernel(name, space, tmp_path)])
    assert isinstance(outcome.measurement, Failure), outcome
    assert outcome.measurement.kind is GPU_FAULTS[name][1], outcome
    [after] = runner.run(built(builder, space))
    assert isinstance(after.measurement, Timing), after
    assert runner.reference_secs is not None
    assert runner.reference_secs > 0
