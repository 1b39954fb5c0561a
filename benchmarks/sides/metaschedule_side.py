"""MetaSchedule's side of the comparison: one operator, in a process of its own.

    python benchmarks/metaschedule_side.py shipped --operator matmul:512,512,512 --target "llvm …" --out result.json

`shipped` is `tune_tir` with its defaults. `repaired` is the same, but what TVM does again and again is done once and
before the clock starts: every back end's intrinsics are imported, the builder's processes are kept from batch to batch
and have imported them too, and the runner's process is up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.builder.local_builder import _serialize_params, _worker_func
from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

from autotune.models.operators import operator_task
from search_spaces.target import Target
from search_spaces.tensor_ir.modules import dump, load, normalize, tvm_target

_BUILD_SECS = 30.0


def preload() -> None:
    """Imports that every building or tuning process needs."""
    import tvm.s_tir.tensor_intrin  # noqa: F401 - 20 s of parsing, which is why it is done once
    import xgboost  # noqa: F401


def _warm(secs: float) -> None:
    """Keeps a worker busy, so that the next call starts another one."""
    time.sleep(secs)


def _build(arguments: tuple[object, ...]) -> str:
    return _worker_func(*arguments)


@derived_object
class KeptBuilder(ms.builder.PyBuilder):
    """TVM's local builder with the one difference that its processes are kept."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.pool = PopenPoolExecutor(max_workers=workers, timeout=_BUILD_SECS, initializer=preload)
        for started in [self.pool.submit(_warm, 1.0) for _ in range(workers)]:
            started.result()

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        """Compiles in parallel, in the order given."""
        calls = [(None, None, one.mod, one.target, _serialize_params(one.params)) for one in build_inputs]
        return [
            ms.builder.BuilderResult(done.value, None)
            if done.status == StatusKind.COMPLETE
            else ms.builder.BuilderResult(None, f"{done.status.name}: {done.value}")
            for done in self.pool.map_with_error_catching(_build, calls)
        ]


def main() -> None:
    """Tunes and writes seconds, trials and the best program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variant", choices=["shipped", "repaired"])
    parser.add_argument("--operator", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--started", type=float, required=True, help="when the process was started (Unix time)"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    target = Target.parse(options.target)
    module = normalize(load(operator_task(options.operator, target).workload.module))
    parts = {}
    if options.variant == "repaired":
        preload()
        parts = {"builder": KeptBuilder(os.cpu_count() or 1), "runner": ms.runner.LocalRunner()}
    ready = time.time()
    with tempfile.TemporaryDirectory() as folder:
        database = ms.tune_tir(
            module,
            tvm_target(target),
            folder,
            max_trials_global=options.trials,
            seed=options.seed + 1,  # 0 would be no seed
            **parts,
        )
        ended = time.time()
        records = database.get_all_tuning_records()
        best = database.query_schedule(module, tvm_target(target), "main")
    timed = [statistics.fmean(map(float, one.run_secs)) for one in records if one.run_secs]
    result = {
        "trials": len(records),
        "ready_secs": ready - options.started,
        "secs": ended - options.started,
        "own_secs": min(timed, default=None),
        "module": None if best is None else dump(best.mod),
    }
    options.out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
