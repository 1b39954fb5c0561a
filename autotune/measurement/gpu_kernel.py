"""One trial on a GPU of this machine (imports TVM).

Runs in a worker process that sees that GPU only. Times are taken by TVM's evaluator, which uses the GPU's own events.
"""

from __future__ import annotations

from functools import cache

import tvm
import tvm_ffi

from autotune.builders.artifact import Artifact
from autotune.measurement.device_kernel import DeviceInputs, DeviceKernel
from autotune.measurement.gpu_memory import GpuMemory
from autotune.measurement.inputs import Signs
from autotune.measurement.kernel_trial import TrialOptions, try_kernel
from tuning_logs.records.measurement import Check, Measurement


def try_on_gpu(artifact: Artifact, options: TrialOptions) -> tuple[Measurement, Check | None]:
    """Measures an artifact on the first GPU that the process sees."""
    return try_kernel(artifact, options, _open)


def _open(artifact: Artifact, signs: Signs) -> DeviceKernel:
    cubin = artifact.cubin
    # TVM asks for machine code when it loads a library with source for a GPU: that which the builder made.
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", lambda _source: cubin, override=True)
    library = tvm.runtime.load_module(str(artifact.library))
    return DeviceKernel(library, _inputs(), artifact, signs)


@cache
def _inputs() -> DeviceInputs:
    return DeviceInputs(GpuMemory(tvm.cuda(0)))
