"""This project's search beside TVM MetaSchedule: the same operators, the same machine, one run, one referee.

    python benchmarks/versus_metaschedule.py --ops matmul-512 softmax --seeds 3 --json out/versus_metaschedule.json

For each operator and seed four fresh processes take turns: MetaSchedule as shipped; MetaSchedule with its start-up
repaired (intrinsics imported and worker processes up before the clock starts, and kept); ours with as many trials;
ours for as long as MetaSchedule as shipped took, or for --most-secs if that is less. All run with as many threads as
there are cores, which TVM has to be told. Then one referee, which knows neither side's own measurements, runs all the
finals and each of our successive bests in turns, and the median of the turns counts. Against `shipped` our clock
starts with the process, against `repaired` when our builder and runner are up.

A run that was ended goes on with the same --json: rows that are in the file already are not measured again.

In the table: how many times sooner than MetaSchedule ended ours was as good as its final; and our latency over
MetaSchedule's, after as many trials and after as much time. `≤` marks what ours did not reach in the time it had.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sides.referee import Referee

from autotune.devices.device import Device, local_device
from autotune.models.operators import operator_task
from autotune.workers.threads import kernel_threads
from search_spaces import Config

OPERATORS = {
    "matmul-512": "matmul:512,512,512",
    "matmul-1024": "matmul:1024,1024,1024",
    "conv3x3-nchw": "conv2d_nchw:1,56,56,64,64,3,3,1,1",
    "conv3x3-nhwc": "conv2d_nhwc:1,56,56,64,64,3,1,1",
    "conv1x1-nchw": "conv2d_nchw:1,56,56,64,256,1,1,1,0",
    "conv1x1-nhwc": "conv2d_nhwc:1,56,56,64,256,1,1,0",
    "depthwise3x3": "depthwise_conv2d_nhwc:1,112,112,64,3,1,1",
    "batch-matmul": "batch_matmul:12,128,128,64",
    "softmax": "softmax:1536,128",
    "layer-norm": "layer_norm:512,768",
    "conv-bias-relu": "conv2d_bias_relu_nhwc:1,28,28,128,128,3,1,1",
}
#: The referee cannot tell apart what is closer than this.
EQUAL = 1.01
#: Name of a number in a row, how it is shown, whether a larger one is better, and what it has to be.
RATIOS = (
    ("sooner_than_shipped", "sooner than shipped", ">=", 50.0),
    ("sooner_than_repaired", "sooner than repaired", ">=", 10.0),
    ("latency_equal_trials", "latency, equal trials", "<=", 0.9),
    ("latency_equal_secs", "latency, equal time", "<=", 0.75),
    ("latency_repaired_secs", "latency, repaired's time", "<=", 1.0),
)


def main() -> None:
    """Runs everything, prints a row for each operator and seed, then the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--ops", nargs="+", default=list(OPERATORS), help="names, or texts such as matmul:64,64,64"
    )
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16, help="candidates per round of ours")
    parser.add_argument("--turns", type=int, default=11, help="how often the referee measures each program")
    parser.add_argument(
        "--most-secs", type=float, default=120.0, help="ours gets no more, however long MetaSchedule takes"
    )
    parser.add_argument(
        "--json", type=Path, default=None, help="where the numbers go as JSON, and earlier ones come from"
    )
    options = parser.parse_args()
    device = local_device()
    setup = {
        "device": device.fingerprint.name,
        "trials": options.trials,
        "batch": options.batch,
        "turns": options.turns,
        "most_secs": options.most_secs,
    }
    rows = earlier_rows(options.json, setup)
    print(f"{device.fingerprint.name}, {device.threads} threads, {options.trials} trials")
    for seed in range(options.seeds):
        for name in options.ops:
            if (name, seed) not in rows:
                rows[name, seed] = compare(OPERATORS.get(name, name), name, seed, device, options)
            print_row(rows[name, seed])
            if options.json is not None:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                found = list(rows.values())
                options.json.write_text(json.dumps({**setup, "means": means(found), "rows": found}, indent=2))
    print_means(list(rows.values()))


def earlier_rows(file: Path | None, setup: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows of an earlier run with the same setup, by operator and seed."""
    if file is None or not file.is_file():
        return {}
    found = json.loads(file.read_text())
    if {name: found.get(name) for name in setup} != setup:
        raise SystemExit(f"expected numbers of {setup} in {file}, found others; name another file")
    return {(row["operator"], row["seed"]): row for row in found["rows"]}


def compare(
    operator: str, name: str, seed: int, device: Device, options: argparse.Namespace
) -> dict[str, Any]:
    """One row: both sides' processes, then the referee."""
    peer = ["--operator", operator, "--target", str(device.target), "--trials", str(options.trials)]
    ours = ["--operator", operator, "--batch", str(options.batch)]
    shipped = run_side("metaschedule_side", ["shipped", *peer], seed, device)
    repaired = run_side("metaschedule_side", ["repaired", *peer], seed, device)
    equal_trials = run_side("autotune_side", [*ours, "--trials", str(options.trials)], seed, device)
    secs = min(shipped["secs"], options.most_secs)
    equal_secs = run_side("autotune_side", [*ours, "--secs", str(secs)], seed, device)

    referee = Referee(operator_task(operator, device.target), device)
    incumbents = {one["trials"]: config(one["config"]) for one in equal_secs["incumbents"]}
    for side, result in (("shipped", shipped), ("repaired", repaired)):
        referee.add_module(side, result["module"])
    for side, result in (("equal_trials", equal_trials), ("equal_secs", equal_secs)):
        referee.add_config(side, config(result["winner"]))
    for trials, incumbent in incumbents.items():
        referee.add_config(f"incumbent-{trials}", incumbent)
    secs = referee.measure(options.turns)

    finals = {side: secs[side] for side in ("shipped", "repaired", "equal_trials", "equal_secs")}
    bests = [{**one, "secs": secs[f"incumbent-{one['trials']}"]} for one in equal_secs["incumbents"]]
    for side in (shipped, repaired):
        del side["module"]
    ready = equal_secs["ready_secs"]
    repaired_secs = repaired["secs"] - repaired["ready_secs"]
    reached = {
        "shipped": first_as_good(bests, finals["shipped"], 0.0),
        "repaired": first_as_good(bests, finals["repaired"], ready),
    }
    meanwhile = min(
        (one["secs"] for one in bests if one["after_secs"] - ready <= repaired_secs), default=math.inf
    )
    return {
        "operator": name,
        "text": operator,
        "seed": seed,
        "final_secs": finals,
        "peer_secs": {"shipped": shipped["secs"], "repaired": repaired_secs},
        "reached_after_secs": reached,
        "sooner_than_shipped": shipped["secs"] / (reached["shipped"] or shipped["secs"]),
        "sooner_than_repaired": repaired_secs / (reached["repaired"] or shipped["secs"] - ready),
        "latency_equal_trials": finals["equal_trials"] / finals["shipped"],
        "latency_equal_secs": finals["equal_secs"] / finals["shipped"],
        "latency_repaired_secs": meanwhile / finals["repaired"],
        "sides": {"shipped": shipped, "repaired": repaired, "equal_trials": equal_trials},
        "bests": bests,
    }


def run_side(program: str, arguments: Sequence[str], seed: int, device: Device) -> dict[str, Any]:
    """One side in a fresh process, with thread settings that make a kernel use all cores."""
    environment = {
        **os.environ,
        **kernel_threads(device.threads),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, str(Path(__file__).with_name("sides") / f"{program}.py"), *arguments]
        command += ["--seed", str(seed), "--started", str(time.time()), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode or not out.is_file():
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        result: dict[str, Any] = json.loads(out.read_text())
    return result


def config(answers: list[list[Any]]) -> Config:
    """A config out of its JSON."""
    return Config(
        tuple((name, tuple(answer) if isinstance(answer, list) else answer) for name, answer in answers)
    )


def first_as_good(bests: list[dict[str, Any]], secs: float, from_secs: float) -> float | None:
    """Seconds from a moment of the process until one of our bests was as fast as that; None if never."""
    after = [one["after_secs"] - from_secs for one in bests if one["secs"] <= EQUAL * secs]
    return min(after, default=None)


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in which every side ended with a program: there is no ratio to nothing."""
    return [row for row in rows if all(math.isfinite(secs) for secs in row["final_secs"].values())]


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The geometric mean over operators of the medians over seeds, for each ratio; empty without comparable rows."""
    rows = comparable(rows)
    names = sorted({row["operator"] for row in rows})
    if not names:
        return {}
    return {
        ratio: statistics.geometric_mean(
            [statistics.median(row[ratio] for row in rows if row["operator"] == name) for name in names]
        )
        for ratio, *_ in RATIOS
    }


def print_row(row: dict[str, Any]) -> None:
    """One operator and seed."""
    marks = {side: "" if after is not None else "≤" for side, after in row["reached_after_secs"].items()}
    finals = " ".join(f"{side} {secs * 1e3:.3f}" for side, secs in row["final_secs"].items())
    peers = row["peer_secs"]
    print(
        f"{row['operator']:15} seed {row['seed']}  peers {peers['shipped']:.0f} s, {peers['repaired']:.0f} s   sooner "
        f"{marks['shipped']}{row['sooner_than_shipped']:.1f}×, {marks['repaired']}{row['sooner_than_repaired']:.1f}×   "
        f"latency {row['latency_equal_trials']:.3f} (trials), {row['latency_equal_secs']:.3f} (time), "
        f"{row['latency_repaired_secs']:.3f} (repaired's time)   ms: {finals}",
        flush=True,
    )


def print_means(rows: list[dict[str, Any]]) -> None:
    """The last lines: means, and the worst operator at equal trials."""
    both = comparable(rows)
    if len(both) < len(rows):
        print(
            f"left out, because a side ended without any program: {len(rows) - len(both)} of {len(rows)} rows"
        )
    if not both:
        return
    found = means(rows)
    for ratio, text, sign, bar in RATIOS:
        print(f"{text:26} {found[ratio]:8.3f}   (bar: {sign} {bar:g})")
    names = sorted({row["operator"] for row in both})
    worst = {
        name: statistics.median(row["latency_equal_trials"] for row in both if row["operator"] == name)
        for name in names
    }
    name = max(worst, key=worst.__getitem__)
    print(f"{'worst operator':26} {worst[name]:8.3f}   {name}, equal trials (bar: <= 1.05)")


if __name__ == "__main__":
    main()
