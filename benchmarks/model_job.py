"""One model from nothing to a measured build: tune, then run it beside ONNX Runtime and TVM's untuned build.

    python benchmarks/model_job.py out/squeezenet.onnx --time 5m --json out/model_job.json

Also watches the memory of the tuning job's whole process tree, once a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "autotune.cli.main"]


def main() -> None:
    """Runs the job and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--time", default="5m")
    parser.add_argument("--log", type=Path, default=None, help="default: a new log beside the model")
    parser.add_argument("--sampler", default=None)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--shape", action="append", default=[])
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    log = options.log or options.model.with_suffix(f".{int(time.time())}.jsonl")
    shapes = [part for shape in options.shape for part in ("--shape", shape)]
    common = [str(options.model), "--log", str(log), *shapes, "--json"]
    sampler = ["--sampler", options.sampler] if options.sampler else []
    tuned, memory = watch(
        [*COMMAND, "tune", *common, "--time", options.time, "--seed", options.seed, *sampler]
    )
    bench = run([*COMMAND, "bench", *common, "--against", "onnxruntime", "--against", "untuned"])
    report(options, tuned, bench, memory)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        found = {"tune": tuned, "bench": bench, "memory_bytes": memory}
        options.json.write_text(json.dumps(found, indent=2))


def report(options: argparse.Namespace, tuned: dict, bench: dict, memory: list[int]) -> None:
    """The table."""
    started = sum(task["weight"] * task["default_secs"] for task in tuned["tasks"])
    least = min(task["records"] for task in tuned["tasks"])
    print(
        f"{options.model.name}: {tuned['trials']} trials in {tuned['elapsed_secs']:.0f} s with {tuned['sampler']}"
    )
    print(
        f"tasks {len(tuned['tasks'])}, sum of default schedules {started * 1e3:.1f} ms, fewest records {least}"
    )
    print(f"failures: {tuned['failures'] or 'none'}")
    for engine in bench["engines"]:
        ratio = engine["speedup_of_autotune"]
        print(
            f"{engine['name']:14} {engine['latency_secs'] * 1e3:9.2f} ms   autotune is {ratio:6.2f}× as fast"
        )
    print(
        f"outputs equal ONNX Runtime's: {bench['outputs_equal']} (max rel error {bench['max_rel_error']:.1e})"
    )
    half = len(memory) // 2
    print(
        f"memory of the process tree: peak {max(memory) / 2**20:.0f} MiB, "
        f"first half {max(memory[:half]) / 2**20:.0f}, second half {max(memory[half:]) / 2**20:.0f}"
    )


def watch(command: list[str]) -> tuple[dict, list[int]]:
    """Runs a command; its JSON output, and its tree's resident bytes once a second."""
    memory = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as job:
        while job.poll() is None:
            memory.append(tree_bytes(job.pid))
            time.sleep(1.0)
        output = job.stdout.read()
    if job.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {job.returncode}")
    return json.loads(output), memory


def tree_bytes(pid: int) -> int:
    """Resident bytes of a process and all below it."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def run(command: list[str]) -> dict:
    """The JSON that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
