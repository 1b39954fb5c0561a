"""Collects what transfer between devices is measured with, on one machine: other vector units, other threads.

    python benchmarks/isa_variants.py squeezenet.onnx --trials 480 --into out/variants

One log per variant: AVX-512 as the host has it, AVX2 (`-mcpu=haswell`), SSE4.2 (`-mcpu=nehalem`), and one thread.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from autotune.devices.device import Device, local_device
from autotune.models.model import load_model
from autotune.models.task_extraction import extract_tasks
from autotune.tuning.budget import Budget
from autotune.tuning.collection import Collection
from tuning_logs import TuningLog


def variants() -> dict[str, Device]:
    """The devices by the name of their log."""
    host = local_device()

    def compiled_for(mcpu: str) -> Device:
        return replace(host, target=host.target.with_attr("mcpu", mcpu))

    return {
        "host": host,
        "haswell": compiled_for("haswell"),
        "nehalem": compiled_for("nehalem"),
        "one-thread": local_device(1),
    }


def main() -> None:
    """Measures the same tasks on every variant that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--trials", type=int, default=480)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(variants()))
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    model = load_model(options.network)
    for name in options.only:
        device = variants()[name]
        tasks = extract_tasks(model, device.target)
        with TuningLog.open(options.into / f"{name}.jsonl") as log:
            collection = Collection(tasks, device, log, Budget(trials=options.trials), seed=0)
            for _ in collection.rounds():
                print(name, collection.trials, "of", options.trials, flush=True)


if __name__ == "__main__":
    main()
