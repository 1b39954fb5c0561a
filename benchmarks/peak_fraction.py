"""Single operators as fractions of the machine's multiply-add peak: ours, OpenBLAS and ONNX Runtime in one run.

    python benchmarks/peak_fraction.py --time 5m --json out/peak_fraction.json
    python benchmarks/peak_fraction.py --ops matmul-512 --time 30s
    python benchmarks/peak_fraction.py --avx2                          ours and the peak without AVX-512

Each operator is tuned from nothing for that long, on all cores. Then the kernels take turns, each in a process of its
own with as many threads as cores: multiply-adds in registers on one thread and on all, which are the peak; ours; NumPy
with OpenBLAS (for products) and ONNX Runtime. Turns rotate, runs of a turn follow each other, and the median of the
turns' medians counts. Peers write into arrays that are there, as ours does; OpenBLAS picks its kernel for this
processor by itself, whatever OPENBLAS_CORETYPE says. Every output is compared with NumPy's or ONNX Runtime's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from sides.operator_sides import NumPy, OnnxRuntime, Ours, Peak, is_product, median_secs, result

from autotune.devices.device import Device, local_device
from autotune.jobs.durations import parse_secs
from autotune.measurement.timing import in_turns
from autotune.models.operators import operator_task
from autotune.workers.idle import wait_until_idle
from autotune.workers.threads import kernel_threads
from search_spaces import Config

#: Products m,n,k, and convolutions n,h,w,ci,co,kernel,stride,padding; the last number is the least fraction.
OPERATORS = {
    "matmul-512": ("matmul:512,512,512", 0.95),
    "matmul-1024": ("matmul:1024,1024,1024", 0.95),
    "conv3x3": ("conv2d_nhwc:1,56,56,64,64,3,1,1", 0.90),
    "conv1x1": ("conv2d_nhwc:1,56,56,64,256,1,1,0", 0.0),
}
_TOLERANCE = 1e-3


@dataclass
class Row:
    """The result of one operator: seconds by side, and deviations of the outputs."""

    name: str
    operator: str
    flops: float
    least_fraction: float
    trials: int
    secs: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Tunes, measures, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ops", nargs="+", choices=list(OPERATORS), default=list(OPERATORS))
    parser.add_argument(
        "--time", type=parse_secs, default=parse_secs("5m"), help="of tuning, for each operator"
    )
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--round-secs", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--avx2",
        dest="mcpu",
        action="store_const",
        const="haswell",
        help="ours and the peak without AVX-512",
    )
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    device = local_device(mcpu=options.mcpu)
    # OpenBLAS is one of the sides, so it has as many threads as the kernels.
    os.environ.update(kernel_threads(device.threads), OPENBLAS_NUM_THREADS=str(device.threads))
    os.environ.pop("OPENBLAS_CORETYPE", None)
    print(
        f"{device.fingerprint.name}, {device.target}, {device.threads} threads, {options.time:.0f} s of tuning each",
        flush=True,
    )
    rows = []
    for name in options.ops:
        rows.append(measure(name, device, options))
        print_row(rows[-1])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=2))


def measure(name: str, device: Device, options: argparse.Namespace) -> Row:
    """One operator: the search, then all sides in turns."""
    operator, least = OPERATORS[name]
    config, trials = tune(operator, device, options)
    row = Row(name, operator, operator_task(operator, device.target).workload.flops, least, trials)
    sides = {
        "peak of one core": Peak(1, options.mcpu),
        "peak": Peak(device.threads, options.mcpu),
        "ours": Ours(operator, config, options.mcpu),
        "onnxruntime": OnnxRuntime(operator, device.threads),
    }
    if is_product(operator):
        sides["numpy"] = NumPy(operator)
    pools = {side: ProcessPoolExecutor(1, get_context("spawn")) for side in sides}
    pids = {side: pool.submit(os.getpid).result() for side, pool in pools.items()}

    def median_of_round(side: str) -> float:
        wait_until_idle(pid for other, pid in pids.items() if other != side)
        return pools[side].submit(median_secs, sides[side], options.round_secs).result()

    samples = in_turns(
        {side: partial(median_of_round, side) for side in sides}, lambda done: done < options.turns
    )
    row.secs = {side: statistics.median(secs) for side, secs in samples.items()}
    for side in ("peak of one core", "peak"):
        row.secs[side] *= row.flops / sides[side].flops
    results = {side: pools[side].submit(result, sides[side]).result() for side in list(sides)[2:]}
    reference = results.get("numpy", results["onnxruntime"])
    scale = float(np.abs(reference).max())
    row.errors = {side: float(np.abs(each - reference).max()) / scale for side, each in results.items()}
    for pool in pools.values():
        pool.shutdown()
    return row


def tune(operator: str, device: Device, options: argparse.Namespace) -> tuple[Config, int]:
    """The winner of a search in a process of its own, and how many candidates it measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [
            sys.executable,
            str(Path(__file__).parent / "sides" / "autotune_side.py"),
            "--operator",
            operator,
            "--device",
            device.connection,
        ]
        command += ["--secs", str(options.time), "--batch", "16", "--seed", str(options.seed)]
        command += ["--started", str(time.time())]
        subprocess.run([*command, "--out", str(out)], check=True)
        found = json.loads(out.read_text())
    if found["winner"] is None:
        raise SystemExit(f"no candidate of {operator} ran in {options.time:.0f} s")
    answers = [
        (name, tuple(answer) if isinstance(answer, list) else answer) for name, answer in found["winner"]
    ]
    return Config(tuple(answers)), int(found["trials"])


def print_row(row: Row) -> None:
    """GFLOP/s of each side, its fraction of the peak, and whether the bars are reached."""
    print(f"{row.name}: {row.trials} trials")
    for side, secs in sorted(row.secs.items(), key=lambda each: each[1]):
        fraction = row.secs["peak"] / secs
        error = f"   error {row.errors[side]:.0e}" if side in row.errors else ""
        print(
            f"  {side:17} {row.flops / secs / 1e9:7.1f} GFLOP/s {fraction:7.1%} {secs * 1e3:8.3f} ms{error}"
        )
    fraction = row.secs["peak"] / row.secs["ours"]
    peers = min(secs for side, secs in row.secs.items() if side in ("numpy", "onnxruntime"))
    print(f"  {fraction:.1%} of the peak (bar: {row.least_fraction:.0%})")
    print(f"  {peers / row.secs['ours']:.2f} times as fast as the fastest peer (bar: 1)")
    if max(row.errors.values()) > _TOLERANCE:
        print("  OUTPUTS DIFFER")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
