"""Warm start by a trained cost model: trials until a search with it is as good as one without after 64.

    python benchmarks/warm_start.py squeezenet.onnx --model MODEL.costmodel --json out/warm_start.json

The model must not have learned from the network. For every task that is searched (and not enumerated), and every seed,
a cold and a warm search take turns round by round on one builder and one runner; then a referee measures the best of
the cold search, the warm one's after 12 trials, and the warm one's last, in turns. What is in the JSON is not measured
again, and --secs ends a run early, so that a long comparison can be taken in pieces.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from sides.referee import Referee

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from autotune.runners.local_runner import LocalRunner
from autotune.search.pretrained_model import PretrainedModel, load_pretrained
from autotune.search.samplers import PriorFactory, SamplerKind, sampler_factory, without_prior
from autotune.tuning.budget import Budget
from autotune.tuning.tuner import Tuner
from autotune.tuning.tuning_job import TuningJob
from search_spaces import Config, TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import TuningLog, TuningRecord

EARLY = 12
TURNS = 7
# A small space is measured to the end: there is nothing to be guided in.
SEARCHED = 64


def main() -> None:
    """Compares task by task, and prints the table of all that is in the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--secs", type=float, default=math.inf, help="begin no other task after so long")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began, device = time.monotonic(), local_device()
    pretrained = load_pretrained(options.model, device)
    assert pretrained is not None
    found: list[dict[str, Any]] = json.loads(options.json.read_text()) if options.json.exists() else []
    done = {(one["key"], one["seed"], one["trials"]) for one in found}
    heaviest = searched_tasks(options.network, device)
    with LocalBuilder() as builder, LocalRunner(device) as runner:
        for seed in range(options.seeds):
            for task in heaviest:
                if (task.key, seed, options.trials) in done or time.monotonic() - began > options.secs:
                    continue
                found.append(compare(task, device, pretrained, seed, options.trials, builder, runner))
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(found, indent=1))
    show(found)


def searched_tasks(network: Path, device: Device) -> list[TuningTask]:
    """The tasks of a network that are searched and not enumerated, the heaviest first."""
    tasks = extract_tasks(load_model(network), device.target)
    searched = [task for task in tasks if TensorIRSpace(task).size > SEARCHED]
    return sorted(searched, key=lambda task: -task.weight * task.workload.flops)


def search_job(task: TuningTask, device: Device, prior: PriorFactory, seed: int, trials: int) -> TuningJob:
    """A search of one task without finals, guided by a prior or by none."""
    return TuningJob(
        (task,),
        device,
        Budget(trials=trials),
        seed=seed,
        sampler=sampler_factory(SamplerKind.COST_MODEL, prior),
        finals_share=0.0,
    )


def compare(
    task: TuningTask,
    device: Device,
    pretrained: PretrainedModel,
    seed: int,
    trials: int,
    builder: LocalBuilder,
    runner: LocalRunner,
) -> dict[str, Any]:
    """Both searches of one task, and the referee's word."""
    priors = {"cold": without_prior, "warm": pretrained.prior}
    searches, records = {}, {name: [] for name in priors}
    for name, prior in priors.items():
        job = search_job(task, device, prior, seed, trials)
        searches[name] = Tuner(job, TuningLog.in_memory(), builder, runner).rounds()
    for name, one in in_turns(searches):
        records[name] += one
    default = TensorIRSpace(task).default
    tried = {name: [record for record in rows if record.config != default] for name, rows in records.items()}
    picks = {
        "cold": best(tried["cold"]),
        "cold_early": best(tried["cold"][:EARLY]),
        "warm_early": best(tried["warm"][:EARLY]),
        "warm": best(tried["warm"]),
    }
    referee = Referee(task, device)
    for name, config in picks.items():
        referee.add_config(name, config)
    return {
        "task": task.name,
        "key": task.key,
        "seed": seed,
        "trials": trials,
        "secs": {name: [record.secs for record in rows] for name, rows in tried.items()},
        "needed": needed([record.secs for record in tried["warm"]], min(r.secs for r in tried["cold"])),
        "referee_secs": referee.measure(TURNS),
    }


def in_turns(
    searches: dict[str, Iterator[list[TuningRecord]]],
) -> Iterator[tuple[str, list[TuningRecord]]]:
    """One round of each search after the other, until all have ended."""
    left = dict(searches)
    while left:
        for name in list(left):
            records = next(left[name], None)
            if records is None:
                del left[name]
            else:
                yield name, records


def best(records: list[TuningRecord]) -> Config:
    """The fastest config."""
    return min(records, key=lambda record: record.secs).config


def needed(secs: list[float], goal_secs: float) -> float:
    """The number of trials until a latency was reached; infinite where it was not."""
    return next((number for number, one in enumerate(secs, 1) if one <= goal_secs), math.inf)


def show(found: list[dict[str, Any]]) -> None:
    """A row per comparison, and the medians."""
    print(
        f"{'task':32} {'seed':>4} {'cold ms':>9} {'early/cold':>10} {'cold early':>10} {'last/cold':>9} {'trials':>6}"
    )
    rows = []
    for one in found:
        by = one["referee_secs"]
        row = [by[name] / by["cold"] for name in ("warm_early", "cold_early", "warm")]
        rows.append([*row, one["needed"]])
        print(
            f"{one['task'][:32]:32} {one['seed']:4} {by['cold'] * 1e3:9.3f} {row[0]:10.3f} {row[1]:10.3f} "
            f"{row[2]:9.3f} {one['needed']:6.0f}"
        )
    if rows:
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(
            f"median of {len(rows)}: warm after {EARLY} trials takes {medians[0]:.3f} of cold after all, cold after "
            f"{EARLY} {medians[1]:.3f}, warm after all {medians[2]:.3f}; warm needs {medians[3]:.0f} trials"
        )


if __name__ == "__main__":
    main()
