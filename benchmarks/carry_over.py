"""Transfer of one device's log to the next: trials until a search reaches 95 % of the best speed found.

    python benchmarks/carry_over.py squeezenet.onnx --source logs/host.jsonl --mcpu nehalem --json out/carry_over.json

The source is a tuning log of the same network on this machine. For the heaviest tasks that are searched, compiled for
other vector units (`--mcpu`) or run with another number of threads (`--threads`), three searches take turns round by
round on one builder and one runner: cold; guided by a cost model that learned from the source; and with the source
in its log, so that what was best there is tried first. By the searches' own timings: the best of all three, over 0.95,
is what has to be reached. A run goes on with the same --json.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from warm_start import in_turns, needed, search_job, searched_tasks

from autotune.builders.local_builder import LocalBuilder
from autotune.devices.device import Device, local_device
from autotune.runners.local_runner import LocalRunner
from autotune.search.pretrained_model import PretrainedModel
from autotune.search.samplers import without_prior
from autotune.tuning.tuner import Tuner
from cost_models.dataset import Dataset
from cost_models.program_model import program_model
from search_spaces import TuningTask
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import TuningLog

COLD, MODEL, LOG = "cold", "source model", "source log"
CLOSE = 0.95


def main() -> None:
    """Searches task by task, and prints the table of all that is in the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--mcpu", default=None)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--tasks", type=int, default=8, help="the heaviest of the network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    device = local_device(options.threads)
    if options.mcpu is not None:
        device = replace(device, target=device.target.with_attr("mcpu", options.mcpu))
    source = TuningLog.read(options.source)
    dataset = Dataset.from_log(options.source, processes=2)
    pretrained = PretrainedModel("source", program_model(options.seed).fit(dataset), device)
    heaviest = searched_tasks(options.network, device)[: options.tasks]
    found: list[dict[str, Any]] = json.loads(options.json.read_text()) if options.json.is_file() else []
    done = {(one["key"], one["seed"]) for one in found}
    with LocalBuilder() as builder, LocalRunner(device) as runner:
        for task in heaviest:
            if (task.key, options.seed) not in done:
                secs = searched(task, device, source, pretrained, options, builder, runner)
                found.append({"task": task.name, "key": task.key, "seed": options.seed, "secs": secs})
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(found, indent=1))
    show(found)


def searched(
    task: TuningTask,
    device: Device,
    source: TuningLog,
    pretrained: PretrainedModel,
    options: argparse.Namespace,
    builder: LocalBuilder,
    runner: LocalRunner,
) -> dict[str, list[float]]:
    """Seconds of each trial, by search; the default is none."""
    priors = {COLD: without_prior, MODEL: pretrained.prior, LOG: without_prior}
    searches = {}
    for name, prior in priors.items():
        job = search_job(task, device, prior, options.seed, options.trials)
        log = TuningLog.in_memory()
        if name == LOG:
            known = [one for one in source.tasks() if one.workload.key == task.workload.key]
            log.append([record for one in known for record in source.where(task=one)])
        searches[name] = Tuner(job, log, builder, runner).rounds()
    default = TensorIRSpace(task).default
    secs: dict[str, list[float]] = {name: [] for name in searches}
    for name, records in in_turns(searches):
        secs[name] += [record.secs for record in records if record.config != default]
    return secs


def show(found: list[dict[str, Any]]) -> None:
    """A row per task, and the medians; a search that never came close counts as one trial more than it had."""
    columns = (COLD, MODEL, LOG)
    print(f"trials to {CLOSE:.0%} of the best speed, of {len(found[0]['secs'][COLD]) if found else 0}")
    print(f"{'task':32} {'best ms':>9} " + " ".join(f"{name:>12}" for name in columns))
    rows, finals = [], []
    for one in found:
        best_secs = min(min(secs) for secs in one["secs"].values())
        finals.append([min(one["secs"][name]) / best_secs for name in columns])
        row = [
            min(needed(one["secs"][name], best_secs / CLOSE), len(one["secs"][name]) + 1) for name in columns
        ]
        rows.append(row)
        print(f"{one['task'][:32]:32} {best_secs * 1e3:9.3f} " + " ".join(f"{each:12.0f}" for each in row))
    if rows:
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"{'median of ' + str(len(rows)):42} " + " ".join(f"{each:12.1f}" for each in medians))
        means = [statistics.geometric_mean(column) for column in zip(*finals, strict=True)]
        print(f"{'latency after all, over the best':42} " + " ".join(f"{each:12.3f}" for each in means))


if __name__ == "__main__":
    main()
