"""Every model at hand: imported, lowered, built untuned, and held against ONNX Runtime.

    python benchmarks/models.py                  all nine architectures and the trained models
    python benchmarks/models.py squeezenet minilm

One row a model, measured in a process of its own: seconds to import it and to extract its tasks, seconds to
build it, median latencies of the untuned build and of ONNX Runtime, and the largest error of the outputs
relative to the peer's. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights
from trained_models import TRAINED_MODELS

from autotune.deployment.compilation import compile
from autotune.deployment.executable import SavedModel
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.side_by_side import TimingSettings, side_by_side
from autotune.devices.device import local_device
from autotune.models.model import load_model
from autotune.models.onnx_file import Shape
from autotune.models.task_extraction import extract_tasks
from search_spaces.errors import AutotuneError
from tuning_logs.file.log import TuningLog

_TITLE = "model          load s  tasks  calls  build s  untuned ms   ort ms    error"


def row(name: str, rounds: int) -> str:
    """The table's row for one model, or what went wrong with it."""
    device = local_device()
    with tempfile.TemporaryDirectory() as scratch:
        path, shapes = _file(name, Path(scratch))
        try:
            started = time.perf_counter()
            model = load_model(path, shapes)
            tasks = extract_tasks(model, device.target)
            loaded = time.perf_counter()
            build = compile(model, device.target, TuningLog.in_memory())
            saved = build.save(Path(scratch) / "model.so")
            built = time.perf_counter()
            peer = OnnxRuntime(path, tuple(model.shapes.items()), device.threads)
            compared = side_by_side(
                [SavedModel(saved), peer], TimingSettings(model.inputs, device.threads, rounds)
            )
        except AutotuneError as error:
            return f"{name:14} {error}"
    ours, theirs = (1e3 * each.secs for each in compared.latencies)
    calls = sum(task.weight for task in tasks)
    return (
        f"{name:14} {loaded - started:6.1f} {len(tasks):6} {calls:6} {built - loaded:8.1f} {ours:11.1f} "
        f"{theirs:8.1f} {compared.check.max_rel_error:8.1e} {compared.mistake or ''}"
    )


def _file(name: str, scratch: Path) -> tuple[Path, dict[str, Shape]]:
    for trained in TRAINED_MODELS:
        if trained.name == name:
            return trained.path, dict(trained.shapes)
    path = scratch / f"{name}.onnx"
    onnx.save(seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model(name))), path)
    return path, {}


def main() -> None:
    """Prints the table."""
    known = [*seeded_weights.names(), *(model.name for model in TRAINED_MODELS)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *known], default=known)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(_TITLE)
    for name in options.names:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            print(process.submit(row, name, options.rounds).result(), flush=True)


if __name__ == "__main__":
    main()
