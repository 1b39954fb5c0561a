"""Cost models: quality on what was held out, transfer between devices, and what features, caches and training take.

    python benchmarks/model_quality.py held-out logs/*.jsonl --held-out tasks networks --tvm --json out/held_out.json
    python benchmarks/model_quality.py transfer --source logs/*.jsonl --target out/variants/nehalem.jsonl
    python benchmarks/model_quality.py times logs/*.jsonl

Logs: one per network, as `autotune cost-model collect` writes them; `benchmarks/isa_variants.py` collects targets.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sides.tvm_cost_model import tvm_learner
from sklearn.model_selection import GroupKFold

from cost_models.adaptation import adapt
from cost_models.boosters.xgboost_cost_model import XGBoostCostModel
from cost_models.dataset import Dataset
from cost_models.evaluation.baselines import baselines
from cost_models.evaluation.held_out import HeldOut, Learner, Quality, held_out_scores, quality, task_scores
from cost_models.features.record_features import feature_cache
from cost_models.program_model import program_model
from cost_models.record_table import RecordTable
from cost_models.training import train

ROWS = 100_000
#: Shares of a target's records, from the whole down to an eighth.
SHARES = (1.0, 0.5, 0.25, 0.125)


def main() -> None:
    """Measures what is asked for, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("held-out", "transfer", "times"))
    parser.add_argument("logs", nargs="*", default=[])
    parser.add_argument("--source", nargs="*", default=[])
    parser.add_argument("--target", nargs="*", default=[])
    parser.add_argument("--held-out", nargs="*", type=HeldOut, default=[HeldOut.TASKS])
    parser.add_argument("--tvm", action="store_true", help="beside TVM's XGBModel, which takes minutes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.what == "held-out":
        found: Any = held_out(options.logs, options.held_out, options.tvm)
    elif options.what == "transfer":
        found = [transfer(options.source, each) for each in options.target]
    else:
        found = times(options.logs)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2))


def held_out(logs: list[str], kinds: list[HeldOut], with_tvm: bool) -> dict[str, Any]:
    """Quality of every model on the same splits."""
    table = RecordTable.read(logs, processes=2)
    learners: dict[str, Learner] = dict(baselines())
    if with_tvm:
        learners["TVM's XGBModel"] = tvm_learner(logs)
    found: dict[str, Any] = {"configs": len(table), "groups": len(set(table.tasks.tolist())), "held_out": {}}
    print(f"{found['configs']} configs of {found['groups']} tasks")
    for kind in kinds:
        print(f"{kind.value} held out")
        for name, learner in learners.items():
            began = time.perf_counter()
            reached = quality(held_out_scores(table, kind, learner))
            found["held_out"].setdefault(kind.value, {})[name] = asdict(reached)
            _line(name, reached, time.perf_counter() - began)
    return found


def transfer(source: list[str], target: str) -> dict[str, Any]:
    """Top-1 and pairwise accuracy on a target's held-out tasks: cold with all records, adapted with a share of them."""
    model = train(RecordTable.read(source, processes=2))
    table = RecordTable.read([target])
    print(
        f"{target}: {len(table)} configs; source: {model.card['records']} configs of {model.card['tasks']} tasks"
    )
    found: dict[str, Any] = {"target": target, "records": len(table)}
    makers: dict[str, Callable[[RecordTable], XGBoostCostModel]] = {
        "cold": lambda known: program_model().fit(Dataset.of(known)),
        "adapted": lambda known: adapt(model, known),
    }
    for name, make in makers.items():
        for share in SHARES:
            found[f"{name} {share}"] = asdict(
                _on_unseen(table, make, share, f"{name}, {share:.0%} of the records")
            )
    found["source alone"] = asdict(_on_unseen(table, lambda known: model, 1.0, "source alone"))
    return found


def _on_unseen(
    table: RecordTable, make: Callable[[RecordTable], XGBoostCostModel], share: float, name: str
) -> Quality:
    began, rng = time.perf_counter(), np.random.default_rng(0)
    predicted: NDArray[np.float64] = np.zeros(len(table))
    for known, unseen in GroupKFold(4, shuffle=True, random_state=0).split(
        table.features, groups=table.tasks
    ):
        some = np.sort(rng.permutation(known)[: max(8, int(share * len(known)))])
        predicted[unseen] = make(table.rows(some)).predict(table.features[unseen])
    found = quality(task_scores(table, predicted))
    _line(name, found, time.perf_counter() - began)
    return found


def times(logs: list[str]) -> dict[str, float]:
    """Seconds to featurise without and with caches, and to train on as many rows as a large collection has."""
    caches = [feature_cache(log) for log in logs]
    for log in logs:
        Path(log + ".features").unlink(missing_ok=True)
    found: dict[str, float] = {}
    for name in ("features_secs", "cached_secs"):
        began = time.perf_counter()
        table = RecordTable.read(logs, processes=2)
        found[name] = time.perf_counter() - began
    found["configs"], found["caches"] = len(table), len(caches)
    rows = np.random.default_rng(0).integers(len(table), size=ROWS)
    many = Dataset.of(table.rows(rows))
    began = time.perf_counter()
    program_model().fit(many)
    found["training_secs"] = time.perf_counter() - began
    print(", ".join(f"{name} {value:.2f}" for name, value in found.items()), f"(training: {ROWS} rows)")
    return found


def _line(name: str, found: Quality, secs: float) -> None:
    print(
        f"{name:28} top-1 {found.top1:.3f}  top-5 {found.top5:.3f}  pairwise {found.pairwise:.3f}  "
        f"Spearman {found.spearman:.3f}  weighted {found.weighted_top1:.3f} {found.weighted_top5:.3f}  "
        f"{found.tasks} tasks  {secs:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
