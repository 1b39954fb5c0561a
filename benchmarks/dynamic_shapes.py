"""One library for ranges of sizes beside a build for each size that was tuned alone.

    python benchmarks/dynamic_shapes.py convolutions --trials 64
    python benchmarks/dynamic_shapes.py minilm --trials 64 --sizes 6 --max-mb 200
    python benchmarks/dynamic_shapes.py minilm --trials 0           default schedules: what padding costs by itself

The model is tuned once for its ranges, with so many trials for each variant that is planned, and once more for each of
some random sizes, with so many trials each. Then both builds run in turns, on the same inputs. One row a size: the
fastest runs of both, and their ratio; then the geometric mean and the worst of the ratios, the sizes of the libraries,
what dispatching takes, and the memory of the process over many calls of random sizes from eight threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

# Set before TVM loads, as in the processes that tune.
os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault("TVM_BIND_THREADS", "0")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

from trained_models import TRAINED_MODELS

from autotune.deployment.compilation import Build, compile
from autotune.deployment.engine import draw
from autotune.deployment.executable import load
from autotune.deployment.shape_dispatch import DynamicExecutable
from autotune.deployment.shape_planning import load_dynamic_model
from autotune.devices.device import local_device
from autotune.models.dynamic_inputs import Sizes
from autotune.models.model import load_model
from autotune.models.shape_plan import function_of
from autotune.models.size_range import SizeRange
from tuning_logs import RecordStore, TuningLog
from tuning_logs.address import read_log

_ROUNDS, _ROUND_SECS = 20, 0.1
_THREADS = 8


def convolutions(path: Path) -> None:
    """Writes a network of four convolutions whose batch, height and width are free."""
    rng = np.random.default_rng(0)
    channels = [3, 16, 32, 32, 10]
    nodes, weights, last = [], [], "x"
    for layer, (taken, made) in enumerate(pairwise(channels)):
        values = rng.standard_normal((made, taken, 3, 3)).astype(np.float32) / 10
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(
            helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1] * 4, strides=[2, 2])
        )
        last = f"r{layer}"
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [last]))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "convolutions", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def tune(path: Path, dims: dict[str, int | SizeRange], trials: int, log: Path, more: list[str]) -> None:
    """Runs `autotune tune` without shapes of inputs other than by names."""
    given = [text for name, size in dims.items() for text in ("--dim", f"{name}={size}")]
    command = [sys.executable, "-m", "autotune.cli.main", "tune", str(path), *given, "--trials", str(trials)]
    subprocess.run([*command, "--log", str(log), *more], check=True, capture_output=True)


def least_secs(sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest of many calls, which other programs disturb least, the sides in turns."""
    secs: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call()
    for _ in range(_ROUNDS):
        for name, call in sides.items():
            end = time.perf_counter() + _ROUND_SECS
            while time.perf_counter() < end:
                started = time.perf_counter()
                call()
                secs[name].append(time.perf_counter() - started)
    return {name: min(found) for name, found in secs.items()}


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1]) / 1e3


def soak(model: DynamicExecutable, calls: int) -> list[float]:
    """The memory in MB at the start and after each tenth of so many calls of random sizes by eight threads."""
    found: list[float] = []
    step = threading.Barrier(_THREADS, action=lambda: found.append(resident_mb()))

    def serve(seed: int) -> None:
        rng = np.random.default_rng(seed)
        axes = model.plan.inputs.axes
        step.wait()
        for _ in range(10):
            for _ in range(calls // 10 // _THREADS):
                sizes = tuple(int(rng.choice(axis.sizes.sizes)) for axis in axes)
                model(*[np.ones(spec.shape, spec.dtype) for spec in model.plan.inputs.at(sizes)])
            step.wait()

    threads = [threading.Thread(target=serve, args=(one,)) for one in range(_THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return found


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=("convolutions", "minilm"))
    parser.add_argument("--trials", type=int, default=64, help="for each variant, and for each size alone")
    parser.add_argument("--sizes", type=int, default=8, help="how many random sizes are tuned alone")
    parser.add_argument("--calls", type=int, default=100_000, help="for the memory")
    parser.add_argument("--max-mb", type=float)
    parser.add_argument("--folder", type=Path, help="keeps logs and libraries, to go on from them")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.model == "convolutions":
            path = folder / "convolutions.onnx"
            convolutions(path)
            dims: dict[str, int | SizeRange] = {
                "batch": SizeRange(1, 8),
                "height": SizeRange(128, 192, 64),
                "width": SizeRange(128, 192, 64),
            }
        else:
            [path] = [one.path for one in TRAINED_MODELS if one.name == "minilm"]
            dims = {"batch_size": 1, "sequence_length": SizeRange(1, 128)}
        compare(path, dims, folder, arguments)


def compare(
    path: Path, dims: dict[str, int | SizeRange], folder: Path, arguments: argparse.Namespace
) -> None:
    """Tunes, builds and times; prints the rows."""
    target = local_device().target
    started = time.monotonic()
    model = load_dynamic_model(path, {}, dims, arguments.max_mb)
    print(f"planned in {time.monotonic() - started:.1f} s: {', '.join(map(str, model.plan.variants))}")
    log = folder / "ranges.jsonl"
    limit = [] if arguments.max_mb is None else ["--max-mb", str(arguments.max_mb)]
    trials = arguments.trials * len(model.plan.variants)
    if trials and not log.exists():
        tune(path, dims, trials, log, limit)
    library = compile(model, target, records(log)).save(folder / "ranges.so")
    dynamic = load(library)
    assert isinstance(dynamic, DynamicExecutable)
    ratios, largest_mb = [], 0.0
    for sizes in some_sizes(model.plan.inputs.axes, arguments.sizes):
        alone, build = built_alone(path, dims, sizes, folder, arguments.trials)
        largest_mb = max(largest_mb, alone.stat().st_size / 1e6)
        arrays = [np.ones_like(one) if one.dtype.kind == "i" else one for one in draw(build.inputs, 0)]
        found = least_secs({"ranges": partial(dynamic, *arrays), "alone": partial(load(alone), *arrays)})
        ratios.append(found["ranges"] / found["alone"])
        print(
            f"{sizes!s:18} by {model.plan.variant_for(sizes)!s:18} {1e3 * found['ranges']:8.3f} ms, "
            f"alone {1e3 * found['alone']:8.3f} ms, ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"geometric mean {statistics.geometric_mean(ratios):.3f}, worst {max(ratios):.3f}")
    print(f"library {library.stat().st_size / 1e6:.1f} MB, the largest of one size {largest_mb:.1f} MB")
    print(f"dispatching takes {1e6 * dispatch_secs(dynamic):.1f} µs")
    print("memory in MB:", *(f"{mb:.0f}" for mb in soak(dynamic, arguments.calls)))


def records(log: Path) -> RecordStore:
    """The records of a log; none, for default schedules, where nothing was tuned."""
    return read_log(str(log)) if log.exists() else TuningLog.in_memory()


def some_sizes(axes: tuple[object, ...], count: int) -> list[Sizes]:
    """Random sizes, the same ones each time."""
    rng = np.random.default_rng(1)
    drawn = (tuple(int(rng.choice(axis.sizes.sizes)) for axis in axes) for _ in range(100 * count))  # type: ignore[attr-defined]
    return sorted(list(dict.fromkeys(drawn))[:count])


def built_alone(
    path: Path, dims: dict[str, int | SizeRange], sizes: Sizes, folder: Path, trials: int
) -> tuple[Path, Build]:
    """The library of a model that was tuned for one size."""
    ranged = [name for name, size in dims.items() if isinstance(size, SizeRange)]
    fixed = {
        **{name: size for name, size in dims.items() if isinstance(size, int)},
        **dict(zip(ranged, sizes, strict=True)),
    }
    name = "x".join(map(str, sizes))
    log = folder / f"{name}.jsonl"
    if trials and not log.exists():
        tune(path, dict(fixed), trials, log, [])
    build = compile(load_model(path, {}, fixed), local_device().target, records(log))
    return build.save(folder / f"{name}.so"), build


def dispatch_secs(dynamic: DynamicExecutable) -> float:
    """Seconds of a call of a size that was built, beyond the call of its function."""
    sizes = dynamic.plan.variants[0]
    arrays = draw(dynamic.plan.inputs.at(sizes), 0)
    name = function_of(dynamic.plan, sizes)
    found = least_secs(
        {"model": lambda: dynamic(*arrays), "function": lambda: dynamic.library.run(name, arrays)}
    )
    return found["model"] - found["function"]


if __name__ == "__main__":
    main()
