"""Tune an ONNX file, build it from the log, and compare that with the untuned build.

python examples/tune_onnx.py model.onnx --trials 400   # without a file: a convolution and a ReLU
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import autotune


def save_small_network(path: Path) -> Path:
    """Writes a 3×3 convolution of 16 channels and a ReLU."""
    weights = np.random.default_rng(0).standard_normal((16, 16, 3, 3), np.float32)
    convolution = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1])
    nodes = [convolution, helper.make_node("Relu", ["c"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 16, 16]) for name in "xy"]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def main() -> None:
    """Tunes, builds and times the model of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--trials", type=int, default=12, help="candidates to measure, of all operators")
    parser.add_argument("--device", default="local")
    options = parser.parse_args()
    device = autotune.parse_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        model = autotune.load_model(options.model or save_small_network(Path(folder) / "small.onnx"))
    tasks = autotune.extract_tasks(model, device.target)
    log = autotune.TuningLog.in_memory()  # TuningLog.open("model.jsonl") keeps the records
    job = autotune.TuningJob(tasks, device, autotune.Budget(options.trials))
    for records in autotune.Tuner(job, log).rounds():
        print(f"{len(log)} records; last of {records[-1].task.name}")
    untuned = autotune.compile(model, device.target, autotune.TuningLog.in_memory())
    tuned = autotune.compile(model, device.target, log, device.fingerprint)
    for name, build in (("untuned", untuned), ("tuned", tuned)):
        print(f"{name}: {build.measure(rounds=2).secs * 1e6:.1f} µs")


if __name__ == "__main__":
    main()
