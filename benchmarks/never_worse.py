"""Builds after tuning, after more tuning, and after next to none, beside the untuned one: none may be slower.

    python benchmarks/never_worse.py --time 5m --json out/never_worse.json
    python benchmarks/never_worse.py --time 30s --models squeezenet --folder out/smoke

Light graphs with seeded weights. For each model and seed, `autotune tune` and `autotune build` run as a user's would:
twice the same time into one log, and into logs of their own a few seconds and two trials a task, which is too little
to know anything. The builds then run in turns with the untuned one and nothing else; the second build runs twice, so
that the table shows what noise is. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import seeded_weights

from autotune.deployment.compilation import compile
from autotune.deployment.executable import SavedModel
from autotune.deployment.side_by_side import EngineLatency, TimingSettings, side_by_side
from autotune.devices.device import local_device
from autotune.models.model import Model, load_model
from autotune.models.task_extraction import extract_tasks
from tuning_logs import TuningLog

COMMAND = [sys.executable, "-m", "autotune.cli.main"]
MODELS = ("squeezenet", "shufflenet", "inception_v1")
WORSE = 1.05
# Who is held against whom; the last pair is one build twice.
PAIRS = (
    ("first", "untuned"),
    ("second", "untuned"),
    ("second", "first"),
    ("few secs", "untuned"),
    ("few trials", "untuned"),
    ("again", "second"),
)


def main() -> None:
    """Tunes, builds and compares, and prints a row for every pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", default="5m", help="how long each of the two tunes")
    parser.add_argument("--few-secs", default="40s", help="a time that is too short")
    parser.add_argument("--trials-per-task", type=int, default=2, help="trials that are too few")
    parser.add_argument("--models", nargs="+", choices=seeded_weights.names(), default=MODELS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=20, help="turns of each build")
    parser.add_argument("--folder", type=Path, default=Path("out/never_worse"))
    parser.add_argument("--json", type=Path, default=None, help="where the numbers go as JSON")
    options = parser.parse_args()
    if options.folder.exists():
        # With an old log, the first tuning would be the second one of an earlier run.
        parser.error(f"expected a new folder, found {options.folder}; remove it or name another one")
    found = []
    print(f"{'model':14} {'seed':>4} {'build':>10} {'ms':>9}  {'beside':10} {'ms':>9} {'ratio':>6}")
    for name in options.models:
        for seed in options.seeds:
            one = examine(options, name, seed)
            found.append(one)
            show(one)
    worst = [each for one in found for each in one["pairs"] if each["is_worse"]]
    wrong = [f"{one['model']}, {build}: {said}" for one in found for build, said in one["mistakes"].items()]
    print(f"\nslower than {WORSE}: {len(worst)} of {len(found) * len(PAIRS)} pairs, noise included")
    print("outputs equal the untuned build's:", "; ".join(wrong) or "all")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"time": options.time, "models": found}, indent=1) + "\n")


def examine(options: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """All builds of one model with one seed: medians, how the pairs compare, and whose outputs are not equal."""
    folder = options.folder / f"{name}-{seed}"
    folder.mkdir(parents=True)
    path = options.folder / f"{name}.onnx"
    onnx.save(seeded_weights.with_seeded_weights(onnx.load(seeded_weights.light_model(name))), path)
    device, model = local_device(), load_model(path)
    untuned = compile(model, device.target, TuningLog.in_memory()).save(folder / "untuned.so")
    trials = options.trials_per_task * len(extract_tasks(model, device.target))
    budgets = {
        "first": ("tuned", "--time", options.time),
        "second": ("tuned", "--time", options.time),
        "few secs": ("few-secs", "--time", options.few_secs),
        "few trials": ("few-trials", "--trials", trials),
    }
    builds = {"untuned": untuned.absolute()}
    for build, (log, *budget) in budgets.items():
        log, library = folder / f"{log}.jsonl", folder / f"{build.replace(' ', '-')}.so"
        tuned = run("tune", path, "--log", log, *budget, "--seed", seed, "--json")
        if tuned.returncode:
            raise SystemExit(f"{path} could not be tuned:\n{tuned.stderr[-2000:]}")
        built = run("build", path, "--log", log, "-o", library, "--json")
        if built.returncode:
            raise SystemExit(f"{path} could not be built:\n{built.stderr[-2000:]}")
        builds[build] = library.absolute()
    builds["again"] = builds["second"]
    latencies = latencies_in_turns(builds, ("untuned", "first", "second", "again"), model, options.rounds)
    few = latencies_in_turns(builds, ("untuned", "few secs", "few trials"), model, options.rounds)
    return {
        "model": name,
        "seed": seed,
        "pairs": [compare(few if one.startswith("few") else latencies, one, other) for one, other in PAIRS],
        "mistakes": mistakes(builds, model),
        "run_secs": {each.name: each.run_secs for each in (*latencies.values(), *few.values())},
    }


def latencies_in_turns(
    builds: dict[str, Path], names: tuple[str, ...], model: Model, rounds: int
) -> dict[str, EngineLatency]:
    """Some of the builds, run in turns."""
    engines = [SavedModel(builds[name], name) for name in names]
    found = side_by_side(engines, TimingSettings(model.inputs, local_device().threads, rounds))
    return {each.name: each for each in found.latencies}


def compare(latencies: dict[str, EngineLatency], one: str, other: str) -> dict[str, Any]:
    """Medians of two builds that took turns."""
    ratio = latencies[one].secs / latencies[other].secs
    return {
        "build": one,
        "secs": latencies[one].secs,
        "beside": other,
        "beside_secs": latencies[other].secs,
        "ratio": ratio,
        "is_worse": ratio > WORSE,
    }


def mistakes(builds: dict[str, Path], model: Model) -> dict[str, str]:
    """Deviations of outputs from those of the untuned build, by build; builds that are right are left out."""
    peer = SavedModel(builds["untuned"], "untuned")
    settings = TimingSettings(model.inputs, local_device().threads, rounds=0)
    found = {
        name: side_by_side([SavedModel(library, name), peer], settings).mistake
        for name, library in builds.items()
        if name not in ("untuned", "again")
    }
    return {name: mistake for name, mistake in found.items() if mistake}


def show(one: dict[str, Any]) -> None:
    """The rows of one model."""
    for each in one["pairs"]:
        print(
            f"{one['model']:14} {one['seed']:4} {each['build']:>10} {1e3 * each['secs']:9.2f}  {each['beside']:10} "
            f"{1e3 * each['beside_secs']:9.2f} {each['ratio']:6.3f}{'  slower' if each['is_worse'] else ''}",
            flush=True,
        )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """One of our commands."""
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True)


if __name__ == "__main__":
    main()
