"""Default schedules beside naive loops, a tuned build and ONNX Runtime: seconds to build, latency of one run.

    python benchmarks/default_schedules.py squeezenet minilm
    python benchmarks/default_schedules.py squeezenet --log logs/squeezenet.jsonl --naive --json out/defaults.json

One row a model. Engines run in turns, each in a process of its own; latencies are medians. `schedule s` is what the
default schedules of all functions take, `build s` a whole build without a log: lowering, scheduling, code, linking.
Naive loops are run a few times only, and only when asked for: they take up to 300 times as long.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
import tvm
from tvm import relax
from tvm.support import cc

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights
from trained_models import TRAINED_MODELS

from autotune.deployment.compilation import compile
from autotune.deployment.default_schedules import with_default_schedules
from autotune.deployment.engine import Engine
from autotune.deployment.executable import SavedModel
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.side_by_side import TimingSettings, side_by_side
from autotune.devices.device import Device, local_device
from autotune.models.lowering import lower
from autotune.models.model import Model, load_model
from search_spaces.tensor_ir.modules import tvm_target
from tuning_logs import TuningLog, read_log

_TITLE = (
    "model          functions  schedule s  build s  default ms  onnxruntime ms  tuned ms  naive ms    error"
)


@dataclass(frozen=True)
class Row:
    """The numbers of one model; None for an engine that was not asked for."""

    model: str
    functions: int
    schedule_secs: float
    build_secs: float
    default_secs: float
    onnxruntime_secs: float
    tuned_secs: float | None
    naive_secs: float | None
    max_rel_error: float


def row(name: str, options: argparse.Namespace, scratch: Path) -> Row:
    """Builds and times one model."""
    device = local_device()
    model = _model(name, scratch)
    started = time.perf_counter()
    built = compile(model, device.target, TuningLog.in_memory())
    default = SavedModel(built.save(scratch / "default.so"), "default")
    build_secs = time.perf_counter() - started
    lowered = lower(model, device.target)
    started = time.perf_counter()
    _, scheduled = with_default_schedules(lowered, tvm_target(device.target))
    schedule_secs = time.perf_counter() - started
    engines: list[Engine] = [
        default,
        OnnxRuntime(model.path.absolute(), tuple(model.shapes.items()), device.threads),
    ]
    if options.log:
        tuned = compile(model, device.target, read_log(options.log), device.fingerprint)
        engines.append(SavedModel(tuned.save(scratch / "tuned.so"), "tuned"))
    compared = side_by_side(engines, TimingSettings(model.inputs, device.threads, options.rounds))
    secs = [each.secs for each in compared.latencies]
    return Row(
        name,
        len(scheduled),
        schedule_secs,
        build_secs,
        secs[0],
        secs[1],
        secs[2] if options.log else None,
        _naive_secs(model, lowered, device, scratch) if options.naive else None,
        compared.check.max_rel_error,
    )


def _naive_secs(model: Model, lowered: tvm.IRModule, device: Device, scratch: Path) -> float:
    target = tvm_target(device.target)
    library = scratch / "naive.so"
    with target:
        executable = relax.build(lowered, target=target, relax_pipeline=relax.get_default_pipeline(target))
    executable.export_library(str(library), fcompile=cc.cross_compiler(cc.get_cc()))
    peer = OnnxRuntime(model.path.absolute(), tuple(model.shapes.items()), device.threads)
    compared = side_by_side(
        [SavedModel(library, "naive"), peer], TimingSettings(model.inputs, device.threads, 1)
    )
    return compared.latencies[0].secs


def _model(name: str, scratch: Path) -> Model:
    for trained in TRAINED_MODELS:
        if trained.name == name:
            return load_model(trained.path, dict(trained.shapes))
    path = scratch / f"{name}.onnx"
    onnx.save(seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model(name))), path)
    return load_model(path, {})


def show(found: Row) -> str:
    """A line of the table."""
    tuned, naive = (
        "–" if secs is None else f"{1e3 * secs:.2f}" for secs in (found.tuned_secs, found.naive_secs)
    )
    return (
        f"{found.model:14} {found.functions:9} {found.schedule_secs:11.2f} {found.build_secs:8.1f} "
        f"{1e3 * found.default_secs:11.2f} {1e3 * found.onnxruntime_secs:15.2f} {tuned:>9} {naive:>9} "
        f"{found.max_rel_error:8.1e}"
    )


def main() -> None:
    """Prints the table, writes the JSON."""
    known = [*seeded_weights.names(), *(model.name for model in TRAINED_MODELS)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=known)
    parser.add_argument("--log", default=None, help="a log with records of the models")
    parser.add_argument("--naive", action="store_true", help="also time naive loops")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    print(_TITLE)
    rows = []
    for name in options.names:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(row(name, options, Path(scratch)))
        print(show(rows[-1]), flush=True)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([asdict(each) for each in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
