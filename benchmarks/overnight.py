"""One job over SqueezeNet, ShuffleNet and ResNet-50, and the builds that it leaves beside ONNX Runtime.

    python benchmarks/overnight.py --time 60m --json out/overnight.json
    python benchmarks/overnight.py --time 2m --models squeezenet --folder out/smoke

Light graphs with seeded weights. The job runs as a user's would (`autotune run`), with its folder kept for
`autotune report`; after it, each build and ONNX Runtime run in turns, on the same threads. The rows of operators
say where the rest of the gap is. Run it on a quiet machine; the same command goes on with a job that was cut short,
however it was: the job ends with this program.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights

from autotune.deployment.executable import SavedModel
from autotune.deployment.onnxruntime_engine import OnnxRuntime
from autotune.deployment.side_by_side import TimingSettings, side_by_side
from autotune.devices.device import local_device
from autotune.models.model import load_model
from autotune.workers.child import die_with_parent

COMMAND = [sys.executable, "-m", "autotune.cli.main"]
MODELS = ("squeezenet", "shufflenet", "resnet50")
ROWS = 8
_WIDTHS = (6, 5, 6, 8, 7, 8, 8)


def main() -> None:
    """Runs the job, then the comparison, and prints both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", default="60m")
    parser.add_argument("--models", nargs="+", choices=seeded_weights.names(), default=MODELS)
    parser.add_argument("--folder", type=Path, default=Path("out/overnight"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    jobs = write_job(options)
    memory = MemoryWatch()
    started = time.monotonic()
    job = subprocess.Popen(
        [*COMMAND, "run", str(jobs), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(die_with_parent, signal.SIGTERM),
    )
    memory.follow(job.pid)
    output, _ = job.communicate()
    taken = time.monotonic() - started
    if job.returncode:
        raise SystemExit(f"the job ended with {job.returncode}; the same command goes on with it")
    status = json.loads(output)
    compared = {name: beside_onnxruntime(options.folder, name) for name in options.models}
    report = json.loads(run("report", options.folder / "job", "--json", "-o", options.folder / "report.html"))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        found = {"status": status, "onnxruntime": compared, "operators": report["operators"]}
        found |= {"job_secs": taken, "memory_bytes": memory.peaks()}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    show(status, compared, report["operators"], taken, memory.peaks())


def write_job(options: argparse.Namespace) -> Path:
    """The models with their weights, and the job file beside them."""
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = ['output = "job"', f"seed = {options.seed}", "", "[budget]", f'time = "{options.time}"']
    for name in options.models:
        path = options.folder / f"{name}.onnx"
        if not path.exists():
            light = onnx.load(seeded_weights.light_model(name))
            onnx.save(seeded_weights.with_seeded_weights(light), path)
        lines += ["", "[[models]]", f'path = "{path.name}"']
    jobs = options.folder / "jobs.toml"
    jobs.write_text("\n".join(lines) + "\n")
    return jobs


def beside_onnxruntime(folder: Path, name: str) -> dict[str, Any]:
    """Latencies of the job's build and of ONNX Runtime, in turns."""
    device, model = local_device(), load_model(folder / f"{name}.onnx")
    library = folder / "job" / f"{name}.so"
    if not library.exists():
        return {"mistake": "the job had no time to build it"}
    peer = OnnxRuntime(model.path.absolute(), tuple(model.shapes.items()), device.threads)
    found = side_by_side([SavedModel(library.absolute()), peer], TimingSettings(model.inputs, device.threads))
    ours, theirs = found.latencies
    return {
        "latency_secs": ours.secs,
        "onnxruntime_secs": theirs.secs,
        "ratio": ours.secs / theirs.secs,
        "mistake": found.mistake,
        "max_rel_error": found.check.max_rel_error,
    }


def show(
    status: dict[str, Any],
    compared: dict[str, Any],
    operators: list[dict[str, Any]],
    taken: float,
    peaks: list[int],
) -> None:
    """The tables."""
    budget = status["budget"]["secs"]
    print(
        f"{status['trials']} trials in {status['secs']:.0f} s of {budget:.0f} s, {len(status['runs'])} runs, the last "
        f"of {taken:.0f} s; failures: {status['failures'] or 'none'}"
    )
    for warning in [*(device["warning"] for device in status["devices"]), *status["warnings"]]:
        if warning:
            print(f"warning: {warning}")
    print("memory of the process tree, peak of each quarter in MiB:", [peak >> 20 for peak in peaks])
    print(f"{'model':12} {'before ms':>10} {'after ms':>10} {'ORT ms':>8} {'ratio':>6}  outputs")
    for model in status["models"]:
        found = compared[model["name"]]
        if "ratio" not in found:
            print(f"{model['name']:12} {found['mistake']}")
            continue
        before = 1e3 * model["before"]["secs"] if model["before"] else float("nan")
        ours, theirs = 1e3 * found["latency_secs"], 1e3 * found["onnxruntime_secs"]
        verdict = found["mistake"] or "equal"
        print(
            f"{model['name']:12} {before:10.1f} {ours:10.2f} {theirs:8.2f} {found['ratio']:6.2f}  {verdict}"
        )
    for model in status["models"]:
        known = [one for one in operators if one["key"] in model["calls"] and one["best_secs"]]
        total = sum(model["calls"][one["key"]] * one["best_secs"] for one in known)
        ideal = sum(
            model["calls"][one["key"]] * one["best_secs"] * min(one["peak_share"] or 1.0, 1.0)
            for one in known
        )
        measured = compared[model["name"]].get("latency_secs", float("nan"))
        print(
            f"\n{model['name']}: {1e3 * measured:.2f} ms as a whole; tasks add up to {1e3 * total:.2f} ms, and to "
            f"{1e3 * ideal:.2f} ms by the roofline; the {ROWS} with the most time:"
        )
        columns = ("share", "calls", "trials", "now µs", "gain", "GFLOP/s", "of peak")
        print(
            "  " + " ".join(f"{name:>{width}}" for name, width in zip(columns, _WIDTHS, strict=True)),
            " operator",
        )
        ranked = sorted(known, key=lambda one: -model["calls"][one["key"]] * one["best_secs"])
        for one in ranked[:ROWS]:
            calls = model["calls"][one["key"]]
            print(
                f"  {calls * one['best_secs'] / total:6.1%} {calls:5} {one['trials']:6} {1e6 * one['best_secs']:8.0f} "
                f"{one['gain'] or 1.0:6.1f}× {(one['flops_per_sec'] or 0) / 1e9:8.1f} {one['peak_share'] or 0:8.0%}  "
                f"{one['name']} ({one['bound']})"
            )


class MemoryWatch:
    """The resident bytes of a process and all below it, once a second."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def follow(self, pid: int) -> None:
        """Watches in the background until the process is gone."""
        threading.Thread(target=self._follow, args=(pid,), daemon=True).start()

    def peaks(self) -> list[int]:
        """The largest of each quarter of the time."""
        size = max(len(self.bytes) // 4, 1)
        return [max(self.bytes[start : start + size]) for start in range(0, len(self.bytes), size)][:4]

    def _follow(self, pid: int) -> None:
        while psutil.pid_exists(pid):
            try:
                processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                self.bytes.append(sum(process.memory_info().rss for process in processes))
            except psutil.Error:
                pass
            time.sleep(1.0)


def run(*arguments: object) -> str:
    """The output of one of our commands."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
