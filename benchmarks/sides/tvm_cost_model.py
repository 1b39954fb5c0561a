"""TVM's own cost model on the house's splits: per-store features, `XGBModel`, trained once on all training records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cost_models.evaluation.held_out import Learner
from cost_models.record_table import RecordTable
from search_spaces import IllegalSchedule
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import read_log


def tvm_learner(logs: list[str]) -> Learner:
    """Learns as MetaSchedule does, from everything at once.

    A table's rows are told from one another by their features, so those of equal features share one program.
    """
    from cost_models.features.record_features import feature_cache, record_features

    stores: dict[bytes, NDArray[np.float32]] = {}
    for log in logs:
        records = list(read_log(log).iterate())
        rows = record_features(records, feature_cache(log))
        by_task: dict[tuple[str, str], list[int]] = {}
        for place, record in enumerate(records):
            by_task.setdefault((record.task.key, str(record.task.target)), []).append(place)
        for places in by_task.values():
            _per_store([records[place] for place in places], rows[places], stores)

    def learn(train: RecordTable, test: RecordTable) -> NDArray[np.float64]:
        from tvm.s_tir.meta_schedule.cost_model.xgb_model import XGBConfig, XGBModel

        model = XGBModel(config=XGBConfig(nthread=1), verbose_eval=1_000_000)
        known = [place for place, row in enumerate(train.features) if row.tobytes() in stores]
        model._train(
            [stores[train.features[place].tobytes()] for place in known],
            train.scores[known].astype(np.float32),
        )
        said = np.zeros(len(test))
        told = [place for place, row in enumerate(test.features) if row.tobytes() in stores]
        said[told] = model._predict([stores[test.features[place].tobytes()] for place in told])
        return said

    return learn


def _per_store(
    records: list[Any], rows: NDArray[np.float32], stores: dict[bytes, NDArray[np.float32]]
) -> None:
    from tvm.s_tir import meta_schedule

    task = records[0].task
    space = TensorIRSpace(task)
    module = modules.normalize(modules.load(task.workload.module))
    context = meta_schedule.TuneContext(mod=module, target=modules.tvm_target(task.target), num_threads=1)
    extractor = meta_schedule.feature_extractor.PerStoreFeature()
    for record, row in zip(records, rows, strict=True):
        try:
            schedule = space.apply(record.config).schedule
        except IllegalSchedule:
            continue
        [found] = extractor.extract_from(context, [meta_schedule.MeasureCandidate(schedule, [])])
        if len(found.numpy()):
            stores[row.tobytes()] = found.numpy().astype(np.float32)


if __name__ == "__main__":
    sys.exit(f"{Path(__file__).name} is part of benchmarks/model_quality.py")
