"""Whether a device's threads are worth having, found by running one kernel with all of them and with one.

TVM's defaults make two threads slower than one on many machines, and so do a container's limits or a busy neighbour;
with such a setting every timing is wrong.
"""

from __future__ import annotations

from dataclasses import replace

from autotune.artifact import Artifact
from autotune.builder import LocalBuilder
from autotune.device import Device
from autotune.parallel_matmul import parallel_matmul
from autotune.runner import LocalRunner
from search_spaces.errors import AutotuneError
from tuning_logs.measurement import Timing

_SIZE = 256
#: How many times faster the device's threads must be than one of them.
_LEAST_SPEEDUP = 1.2


def check_threads(device: Device) -> float:
    """How many times faster a parallel matmul is with the device's threads than with one; takes about 2 s.

    Raises AutotuneError where more than one thread is asked for and they are not faster than one, or where the
    kernel cannot be measured at all.
    """
    if device.threads == 1:
        return 1.0
    single = replace(device, target=device.target.with_attr("num-cores", 1))
    with LocalBuilder(workers=1) as builder, LocalRunner(single) as one, LocalRunner(device) as all_of_them:
        alone_secs = _fastest_secs(builder, one, device)
        together_secs = _fastest_secs(builder, all_of_them, device)
    speedup = alone_secs / together_secs
    if speedup < _LEAST_SPEEDUP:
        raise AutotuneError(
            f"expected {device.threads} threads to be at least {_LEAST_SPEEDUP} times as fast as one, found "
            f"{speedup:.2f} times: the processors are busy or are not this process's to use. Stop what else is "
            "running, or tune with fewer threads, as with 'local?threads=1'"
        )
    return speedup


def _fastest_secs(builder: LocalBuilder, runner: LocalRunner, device: Device) -> float:
    [artifact] = builder.build([parallel_matmul(device.target, _SIZE)])
    if not isinstance(artifact, Artifact):
        raise AutotuneError(
            f"expected a small matmul to compile for {device.target}, found {artifact.message}"
        )
    [outcome] = runner.run([replace(artifact, is_reference=True)])
    if not isinstance(outcome.measurement, Timing):
        raise AutotuneError(
            f"expected a small matmul to run on {device.name!r}, found {outcome.measurement.message}; "
            f"check that the target fits the processor: {device.target}"
        )
    return min(outcome.measurement.run_secs)
