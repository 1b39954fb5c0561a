"""One trial on a GPU of this machine, of NVIDIA or behind OpenCL (imports TVM).

Runs in a worker process. Times are taken by TVM's evaluator, which uses the GPU's own events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import tvm
import tvm_ffi

from autotune.builders.artifact import Artifact
from autotune.devices.opencl.runtime import load_opencl
from autotune.measurement.device_kernel import DeviceInputs, DeviceKernel
from autotune.measurement.gpu_memory import GpuMemory
from autotune.measurement.inputs import Signs
from autotune.measurement.kernel_trial import TrialOptions, try_kernel
from tuning_logs.records.measurement import Check, Measurement


def try_on_gpu(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    """Measures an artifact on the first NVIDIA GPU that the process sees, which shall be its only one."""
    return try_kernel(artifact, options, _open)


@dataclass(frozen=True, slots=True)
class OpenClTrial:
    """Measures an artifact on an OpenCL device; index: among those of all platforms."""

    index: int

    def __call__(self, artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
        """The measurement and the errors of the outputs."""
        return try_kernel(artifact, options, self._open)

    def _open(self, artifact: Artifact, signs: Signs) -> DeviceKernel:
        load_opencl()
        library = tvm.runtime.load_module(str(artifact.library))
        return _warm(DeviceKernel(library, _inputs("opencl", self.index), artifact, signs))


def _open(artifact: Artifact, signs: Signs) -> DeviceKernel:
    cubin = artifact.cubin
    # TVM asks for machine code when it loads a library with source for a GPU: that which the builder made.
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", lambda _source: cubin, override=True)
    library = tvm.runtime.load_module(str(artifact.library))
    return _warm(DeviceKernel(library, _inputs("cuda", 0), artifact, signs))


def _warm(kernel: DeviceKernel) -> DeviceKernel:
    # A driver compiles or loads the code in the first run: what is timed is the second.
    kernel.checked_run()
    return kernel


@cache
def _inputs(kind: str, index: int) -> DeviceInputs:
    return DeviceInputs(GpuMemory(tvm.device(kind, index)))
