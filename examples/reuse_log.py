"""Use a tuning log in a TVM build of your own, in the place of a MetaSchedule database.

python examples/reuse_log.py --trials 16
"""

import argparse

import numpy as np
import tvm
from tvm import relax

import autotune


def network() -> tvm.IRModule:
    """A product of two matrices and a ReLU, as a Relax module."""
    builder = relax.BlockBuilder()
    x, y = (relax.Var(name, relax.TensorType((64, 64), "float32")) for name in "xy")
    with builder.function("main", [x, y]):
        with builder.dataflow():
            result = builder.emit_output(relax.op.nn.relu(builder.emit(relax.op.matmul(x, y))))
        builder.emit_func_output(result)
    return builder.finalize()


def main() -> None:
    """Tunes the network, then builds it with TVM's own passes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--device", default="local")
    options = parser.parse_args()
    device, module, log = autotune.parse_device(options.device), network(), autotune.TuningLog.in_memory()
    tasks = autotune.extract_tasks(module, device.target)
    job = autotune.TuningJob(tasks, device, autotune.Budget(trials=options.trials))
    for _ in autotune.Tuner(job, log).rounds():
        pass

    lowered = autotune.lower(module, device.target)  # the passes that `extract_tasks` ran
    target = autotune.tvm_target(device.target)
    with target, autotune.database(log, device.target, device.fingerprint):
        scheduled = relax.transform.MetaScheduleApplyDatabase()(lowered)
        executable = relax.build(scheduled, target=target)
    x, y = np.random.default_rng(0).standard_normal((2, 64, 64)).astype("float32")
    found = relax.VirtualMachine(executable, tvm.cpu())["main"](tvm.runtime.tensor(x), tvm.runtime.tensor(y))
    np.testing.assert_allclose(found.numpy(), np.maximum(x @ y, 0), rtol=1e-4, atol=1e-4)
    print(f"{len(log)} records; outputs are right")


if __name__ == "__main__":
    main()
