"""Whole networks of halves on a GPU: tuned here, beside ONNX Runtime, TensorRT and PyTorch on the same card.

    python benchmarks/gpu_models.py --target nvidia/nvidia-h100 --folder out/gpu --time 120s
    python benchmarks/gpu_models.py --device local --only minilm-b1 --time 5s --folder out/gpu    # a dry run

ResNet-50 with batches of 1 and 16, an encoder of MiniLM's sizes with batch 1 and 128 tokens; weights are random.
Builds and sessions of ONNX Runtime run in turns, each in a process of its own, and copy inputs and outputs
(`autotune compare`).
PyTorch, eager and compiled (Inductor, max-autotune), is timed by the device's events on inputs that lie there. One JSON
file for each network, and the log of its trials beside it, which a later run goes on with.

No GPU has run this yet.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from sides import built_networks
from sides.torch_timing import event_secs, secs_by_name, torch_with_gpu

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights

from autotune.comparison.comparison import ComparisonSettings, compare
from autotune.comparison.result_file import write_comparison
from autotune.devices.device import Device
from autotune.devices.device_url import parse_device
from autotune.jobs.durations import parse_secs
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from tuning_logs import TuningLog

CALLS = 50
WARM_CALLS = 10


@dataclass(frozen=True)
class Network:
    """A network by name: its model in float32, and the shape of its input."""

    name: str
    model: Callable[[], onnx.ModelProto]
    shape: tuple[int, ...]


def _resnet50(batch: int) -> onnx.ModelProto:
    model = seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model("resnet50")))
    weights = {one.name: one for one in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        if value.name not in weights:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    for node in model.graph.node:
        if node.op_type == "Reshape":
            shape = numpy_helper.to_array(weights[node.input[1]]).copy()
            shape[0] = batch
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    del model.graph.value_info[:]
    return model


NETWORKS = {
    one.name: one
    for one in (
        Network("resnet50-b1", lambda: _resnet50(1), (1, 3, 224, 224)),
        Network("resnet50-b16", lambda: _resnet50(16), (16, 3, 224, 224)),
        Network("minilm-b1", lambda: built_networks.encoder(128, 384, 12, 6), (1, 128, 384)),
    )
}


def written(network: Network, folder: Path) -> Path:
    """The network's file in halves, written once."""
    path = folder / f"{network.name}.onnx"
    if not path.exists():
        onnx.save(convert_float_to_float16(network.model(), keep_io_types=False), path)
    return path


def tuned(path: Path, device: Device, secs: float) -> Path:
    """The log of the network's operators, after so much more time."""
    log = path.with_suffix(".jsonl")
    tasks = extract_tasks(load_model(path), device.target)
    with TuningLog.open(log) as records:
        for _ in Tuner(TuningJob(tasks, device, Budget(secs=secs)), records).rounds():
            pass
    return log


def torch_secs(path: Path, network: Network) -> dict[str, float]:
    """Medians of PyTorch eager and compiled; none where PyTorch or a GPU is missing."""
    torch = torch_with_gpu()
    if torch is None:
        return {}
    from sides.torch_graph import TorchGraph

    eager = TorchGraph(onnx.load(path), "cuda").eval()
    engines = {"torch": eager, "inductor": torch.compile(eager, mode="max-autotune")}
    x = torch.randn(*network.shape, device="cuda", dtype=torch.float16)
    measures = {name: partial(_module_secs, torch, module, x) for name, module in engines.items()}
    return secs_by_name(network.name, measures)


def _module_secs(torch: Any, module: Any, x: Any) -> float:
    with torch.no_grad():
        return event_secs(torch, lambda _: module(x), CALLS, WARM_CALLS, lambda: None)


def measured(network: Network, device: Device, secs: float, folder: Path) -> dict[str, Any]:
    """One network's figures; the whole comparison lies beside them."""
    path = written(network, folder)
    log = tuned(path, device, secs)
    compared = compare([path], [device], log=str(log), settings=ComparisonSettings(rounds=5))
    write_comparison(folder / f"{network.name}.comparison.json", compared)
    latencies = {row.engine: row.measured.p50.secs for row in compared.rows if row.measured}
    reasons = {row.engine: row.reason for row in compared.rows if row.measured is None}
    return {
        "network": network.name, "device": device.fingerprint.name, "facts": dict(device.fingerprint.facts),
        "engine_secs": latencies, "reasons": reasons, "torch_secs": torch_secs(path, network),
    }  # fmt: skip


def main() -> None:
    """Writes a JSON file for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help="by default cuda:0 with the target")
    parser.add_argument("--target", default="nvidia/nvidia-h100", help="TVM's tag for the GPU")
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--time", default="120s", help="of tuning a network")
    parser.add_argument("--folder", type=Path, default=Path("out/gpu"))
    given = parser.parse_args()
    device = parse_device(given.device or f"cuda:0?target={given.target}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        found = measured(NETWORKS[name], device, parse_secs(given.time), given.folder)
        (given.folder / f"{name}.json").write_text(json.dumps(found, indent=2))
        print(json.dumps(found))


if __name__ == "__main__":
    main()
