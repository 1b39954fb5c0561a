"""Train a cost model on a tuning log, then adapt it to this machine with a few measurements.

python examples/train_cost_model.py logs/resnet50.jsonl --trials 200

Without logs, a part of the records that ship with the package (AlexNet on AVX-512) is learned from.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import autotune
import cost_models
from cost_models.adaptation import adapt
from cost_models.record_table import RecordTable
from cost_models.training import train

SHIPPED = Path(cost_models.__file__).parent / "pretrained/x86-64-avx512/alexnet.jsonl.gz"


def main() -> None:
    """Trains, measures, adapts, and prints what the model's card says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("logs", nargs="*", help="tuning logs, one for each network")
    parser.add_argument("--trials", type=int, default=24, help="candidates to measure on this machine")
    parser.add_argument("--device", default="local")
    options = parser.parse_args()
    device = autotune.parse_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        if not options.logs:
            options.logs = [f"{folder}/alexnet.jsonl"]
            with autotune.TuningLog.open(options.logs[0]) as few:
                few.append(list(islice(autotune.TuningLog.read(SHIPPED).iterate(), 300)))
        source = train(RecordTable.read(options.logs))
        print(f"trained on {source.card['records']} records of {source.card['tasks']} tasks")

        task = autotune.operator_task("matmul:64,64,64", device.target)
        budget = autotune.Budget(trials=options.trials)
        with autotune.TuningLog.open(f"{folder}/here.jsonl") as log:
            for _ in autotune.Collection((task,), device, log, budget).rounds():
                pass
        adapted = adapt(source, RecordTable.read([f"{folder}/here.jsonl"]))
        print(f"measured {adapted.card['records']} configs here; adapted: {adapted.card['adapted']['way']}")
        print(f"pairs ordered rightly, by way: {adapted.card['adapted']['held_out_pairwise']}")
        adapted.save(Path(folder) / "adapted.model")


if __name__ == "__main__":
    main()
