"""Sizes of a model's packages, and the latency of an installed wheel beside `autotune.load`, in turns.

    python benchmarks/packages.py squeezenet.onnx
    python benchmarks/packages.py squeezenet.onnx --log logs/squeezenet.jsonl --rounds 40

The wheel is installed in a virtual environment of its own, with what it requires linked from this one. Each side has a
process; they take turns, and each waits until the other's threads rest. Ratios are of the sides' medians in each round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import autotune
from autotune.deployment.engine import draw

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from clean_environment import clean_environment, install

# Longer than TVM's idle threads spin.
_REST_SECS = 0.3
_SIDE = """
import json, sys, time
import numpy as np
arrays = np.load(sys.argv[1])
inputs = [arrays[name] for name in arrays.files]
{load}
call(*inputs)
print("ready", flush=True)
for line in sys.stdin:
    secs, until = [], time.perf_counter() + 0.3
    while time.perf_counter() < until or len(secs) < 5:
        started = time.perf_counter()
        call(*inputs)
        secs.append(time.perf_counter() - started)
    print(json.dumps(secs), flush=True)
"""


class Side:
    """A process that loads the model one way, and times a round when it is asked to."""

    def __init__(self, python: Path, load: str, arrays: Path) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [python, "-c", _SIDE.format(load=load), arrays],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.first_call_secs = time.perf_counter() - started

    def round(self) -> float:
        """The median latency of a round."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        time.sleep(_REST_SECS)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return statistics.median(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def bytes_of(*paths: Path) -> int:
    """The size of files and folders."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file() and "__pycache__" not in file.parts)


def main() -> None:
    """Prints sizes, then latencies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--log")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = autotune.load_model(arguments.model)
        log = autotune.open_log(arguments.log) if arguments.log else None
        wheel, archive = autotune.package(model, folder, [autotune.Wheel(), autotune.Archive()], log)
        python = clean_environment(folder / "environment")
        install(python, wheel)
        module = wheel.name.partition("-")[0]
        installed = next(python.parents[1].glob(f"lib/*/site-packages/{module}"))
        site = installed.parent
        required = [site / name for name in ("tvm_ffi", "msgspec", "typing_extensions.py")]
        weights = arguments.model.stat().st_size
        total = bytes_of(installed, *required)
        print(f"weights (the ONNX file)    {weights / 1e6:8.2f} MB")
        print(f"wheel                      {bytes_of(wheel) / 1e6:8.2f} MB")
        print(f"archive                    {bytes_of(archive) / 1e6:8.2f} MB")
        print(f"installed module           {bytes_of(installed) / 1e6:8.2f} MB")
        print(f"  of it the model          {bytes_of(installed / 'model.so') / 1e6:8.2f} MB")
        print(f"  of it TVM's runtime      {bytes_of(installed / 'lib') / 1e6:8.2f} MB")
        for path in required:
            print(f"required: {path.name:16s} {bytes_of(path) / 1e6:8.2f} MB")
        print(f"all beyond NumPy           {total / 1e6:8.2f} MB: weights + {(total - weights) / 1e6:.2f} MB")
        arrays = folder / "arrays.npz"
        np.savez(arrays, *draw(model.inputs, 0))
        library = installed / "model.so"
        sides = {
            "the wheel": Side(python, f"import {module}; call = {module}.run", arrays),
            "autotune.load": Side(
                Path(sys.executable), f"import autotune; call = autotune.load({str(library)!r})", arrays
            ),
        }
        rounds = [{name: side.round() for name, side in sides.items()} for _ in range(arguments.rounds)]
        for name, side in sides.items():
            secs = [each[name] for each in rounds]
            print(
                f"{name:14s} {statistics.median(secs) * 1e3:7.3f} ms (least {min(secs) * 1e3:.3f}), "
                f"first output {side.first_call_secs:.2f} s after the start"
            )
            side.end()
        ratios = [each["the wheel"] / each["autotune.load"] for each in rounds]
        print(f"ratio {statistics.median(ratios):.3f} (median of {len(ratios)} rounds)")


if __name__ == "__main__":
    main()
