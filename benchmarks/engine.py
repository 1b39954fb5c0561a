"""Trials per second: this project's engine with random search beside TVM MetaSchedule as shipped, in one run.

    python benchmarks/engine.py --trials 64 --repeats 1 --json out/engine.json

Each side is a fresh process, timed from its start to its end; the sides take turns. MetaSchedule runs with its own
defaults (evolutionary search, XGBoost, local builder and runner) and the thread settings that make its runner use
all cores, which are not its defaults.
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
from datetime import datetime
from pathlib import Path

OPERATOR = "matmul:512,512,512"

METASCHEDULE = """
import sys
from tvm import te
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.testing import te_workload
from search_spaces.tensor_ir.modules import normalize, tvm_target
from search_spaces.target import Target

if __name__ == "__main__":
    func = te.create_prim_func(te_workload.matmul(512, 512, 512))
    database = ms.tune_tir(normalize(func), tvm_target(Target.parse(sys.argv[1])), sys.argv[2],
                           max_trials_global=int(sys.argv[3]))
    records = database.get_all_tuning_records()
    best = min(min(float(s) for s in r.run_secs) for r in records if r.run_secs)
    print(len(records), best)
"""


def main() -> None:
    """Runs both sides and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    rows = {"autotune": [], "metaschedule": []}
    for _ in range(options.repeats):
        rows["autotune"].append(run_autotune(options.trials))
        rows["metaschedule"].append(run_metaschedule(options.trials))
    rates = {
        side: statistics.median(row["trials"] / row["secs"] for row in found) for side, found in rows.items()
    }
    print(f"{OPERATOR}, {options.trials} trials, {options.repeats} repeats, {os.cpu_count()} cores")
    for side, found in rows.items():
        secs = statistics.median(row["secs"] for row in found)
        best = min(row["best_secs"] for row in found)
        print(f"{side:14} {secs:8.1f} s  {rates[side]:6.2f} trials/s  best {best * 1e3:.2f} ms")
    first = statistics.median(row["first_secs"] for row in rows["autotune"])
    print(f"ratio {rates['autotune'] / rates['metaschedule']:.1f}; first measurement after {first:.1f} s")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps({"rows": rows, "trials_per_sec": rates, "first_secs": first}, indent=2)
        )


def run_autotune(trials: int) -> dict[str, float]:
    """One `autotune tune` with random search: how long, how many trials, when the first one was in the log."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        arguments = [
            "--op",
            OPERATOR,
            "--log",
            str(log),
            "--trials",
            str(trials),
            "--sampler",
            "random",
            "--json",
        ]
        started, clock = time.time(), time.monotonic()
        command = [sys.executable, "-m", "autotune.cli.main", "tune", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        secs = time.monotonic() - clock
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    first = min(
        datetime.fromisoformat(line["time"]).timestamp() for line in lines if line["kind"] == "record"
    )
    summary = json.loads(done.stdout)
    best = summary["tasks"][0]["best_secs"]
    return {"secs": secs, "trials": summary["trials"], "first_secs": first - started, "best_secs": best}


def run_metaschedule(trials: int) -> dict[str, float]:
    """MetaSchedule as shipped, on the same operator and target."""
    from autotune import local_device
    from autotune.workers.threads import kernel_threads

    device = local_device()
    environment = {**os.environ, **kernel_threads(device.threads)}
    with tempfile.TemporaryDirectory() as folder:
        clock = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", METASCHEDULE, str(device.target), folder, str(trials)],
            capture_output=True,
            text=True,
            env=environment,
        )
        secs = time.monotonic() - clock
    if done.returncode:
        raise SystemExit(f"MetaSchedule failed:\n{done.stderr[-2000:]}")
    measured, best = done.stdout.strip().splitlines()[-1].split()
    return {"secs": secs, "trials": int(measured), "best_secs": float(best)}


if __name__ == "__main__":
    main()
