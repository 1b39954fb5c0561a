"""A long job with real workers, watched: memory and descriptors of the whole process tree, and what it leaves behind.

    python benchmarks/soak.py --trials 2000 --json out/soak.json

Tunes one small operator without a cost model, so that trials are many and short. Prints the peak of each quarter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

COMMAND = [sys.executable, "-m", "autotune.cli.main"]


def main() -> None:
    """Runs the job and prints what grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", default="matmul:128,128,128")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        found = watch(options, Path(name))
    for key, value in found.items():
        print(f"{key:40} {value}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def watch(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The job in a folder of its own, with a look at its processes every second."""
    scratch, output = folder / "tmp", folder / "out"
    scratch.mkdir()
    arguments = ["--op", options.op, "--trials", str(options.trials), "--sampler", options.sampler]
    folders = ["--log", str(output / "log.jsonl"), "--output", str(output)]
    job = subprocess.Popen(
        [*COMMAND, "tune", *arguments, *folders, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    tree, main_only, descriptors, files = [], [], [], []
    started = time.monotonic()
    while job.poll() is None:
        try:
            parent = psutil.Process(job.pid)
            sizes = [one.memory_info().rss for one in (parent, *parent.children(recursive=True))]
            descriptors.append(parent.num_fds())
            tree.append(sum(sizes))
            main_only.append(sizes[0])
            files.append(sum(len(names) for _, _, names in os.walk(scratch)))
        except psutil.Error:
            pass
        time.sleep(1.0)
    assert job.stdout is not None
    summary = json.loads(job.stdout.read())
    log = output / "log.jsonl"
    return {
        "trials": summary["trials"],
        "secs": round(time.monotonic() - started, 1),
        "failures": summary["failures"],
        "tree_mib_by_quarter": [peak >> 20 for peak in quarters(tree)],
        "main_mib_by_quarter": [peak >> 20 for peak in quarters(main_only)],
        "descriptors_by_quarter": quarters(descriptors),
        "scratch_files_by_quarter": quarters(files),
        "left_in_scratch": sorted(path.name for path in scratch.glob("autotune*")),
        "log_bytes_per_trial": log.stat().st_size // max(summary["trials"], 1),
    }


def quarters(values: list[int]) -> list[int]:
    """The largest of each quarter of the time."""
    size = max(-(-len(values) // 4), 1)
    return [max(values[start : start + size]) for start in range(0, len(values), size)]


if __name__ == "__main__":
    main()
