"""A log goes out as MetaSchedule's own databases, which TVM reads by itself, and comes back the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tvm
from product_network import network
from repository import GOLDEN
from tvm import relax, te

from autotune.deployment.compilation import compile
from autotune.models.operators import operator_task
from autotune.models.task_extraction import extract_tasks
from search_spaces.config import Config
from search_spaces.decision import Decision
from search_spaces.errors import IllegalSchedule, Misuse
from search_spaces.target import Target
from search_spaces.task import TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.modules import workload
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.word_instructions import PAIR_PRODUCT
from search_spaces.tensor_ir.word_products import matmul_of_words
from tuning_logs import (
    DeviceFingerprint,
    Failure,
    FailureKind,
    Job,
    Provenance,
    Timing,
    TuningLog,
    TuningRecord,
)
from tuning_logs.exchange.metaschedule_database import database
from tuning_logs.exchange.metaschedule_export import RECORDS, export_metaschedule
from tuning_logs.exchange.metaschedule_import import import_metaschedule

DATABASE = GOLDEN / "metaschedule_matmul"
HERE = DeviceFingerprint("here", {"cpu_model": "this one", "threads": 2})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")

# Runs without this package anywhere in sight: builds the model with the exported database, and calls it.
PLAIN_BUILD = """
import sys
import numpy as np
import tvm
from tvm import relax

model, folder, _ = sys.argv[1:]
module = tvm.ir.load_json(open(model).read())
target = tvm.target.Target({"kind": "llvm", "num-cores": 2})
pipeline = relax.get_pipeline(
    "static_shape_tuning", total_trials=0, target=target, work_dir=folder, cpu_weight_prepack=True
)
with target:
    tuned = pipeline(module)
scheduled = sum("tirx.is_scheduled" in func.attrs for func in tuned.functions.values() if func.attrs)
built = tvm.compile(tuned, target=target)
machine = relax.VirtualMachine(built, tvm.cpu())
x = np.linspace(-1, 1, 32 * 64, dtype="float32").reshape(32, 64)
w = np.linspace(-1, 1, 64 * 48, dtype="float32").reshape(64, 48)
result = machine["main"](tvm.runtime.tensor(x), tvm.runtime.tensor(w)).numpy()
np.testing.assert_allclose(result, np.maximum(x @ w, 0), rtol=1e-4, atol=1e-4)
assert not [name for name in sys.modules if name.split(".")[0] in ("autotune", "search_spaces", "tuning_logs")]
print("scheduled", scheduled)
"""


@pytest.fixture(scope="module")
def tasks(target: Target) -> tuple[TuningTask, ...]:
    return extract_tasks(network(), target)


def configs(task: TuningTask, count: int) -> list[Config]:
    """Different configs that can be built, none of them the default."""
    rng = np.random.default_rng(0)
    space = TensorIRSpace(task)

    def choose(decision: Decision) -> int:
        return int(rng.integers(1 if decision.name == "sketch" else 0, len(decision.choices)))

    found: dict[Config, None] = {}
    while len(found) < count:
        try:
            found[space.apply(choose).config] = None
        except IllegalSchedule:
            continue
    return list(found)


def log_of(tasks: tuple[TuningTask, ...], count: int = 5) -> TuningLog:
    log = TuningLog.in_memory()
    for task in tasks:
        space = TensorIRSpace(task)
        *chosen, failing = [space.default, *configs(task, count + 1)]
        measured: list[tuple[Config, Timing | Failure]] = [
            (config, Timing((0.01 / (n + 1), 0.02), 0.1)) for n, config in enumerate(chosen)
        ]
        measured.append((failing, Failure(FailureKind.RUN_ERROR, "no")))
        log.append(
            [
                TuningRecord(task, HERE, space.version, config, found, None, Provenance(JOB, n, JOB.started))
                for n, (config, found) in enumerate(measured)
            ]
        )
    return log


def test_what_was_exported_builds_in_a_process_that_knows_only_tvm(
    tasks: tuple[TuningTask, ...], tmp_path: Path
) -> None:
    [exported] = export_metaschedule(log_of(tasks), tmp_path / "databases")
    assert exported.records == len(tasks)
    assert exported.left_out == ()
    (tmp_path / "model.json").write_text(tvm.ir.save_json(network()))
    (tmp_path / "plain.py").write_text(PLAIN_BUILD)

    done = subprocess.run(
        [sys.executable, "plain.py", "model.json", exported.folder, "llvm -num-cores=2"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["scheduled", str(len(tasks))]


def test_operators_that_only_this_package_knows_are_left_out(
    tasks: tuple[TuningTask, ...], tmp_path: Path
) -> None:
    left, right = te.placeholder((8, 16), "int32"), te.placeholder((16, 32), "int32")
    module = tvm.IRModule(
        {"main": te.create_prim_func([left, right, matmul_of_words(left, right, PAIR_PRODUCT)])}
    )
    quantized = TuningTask(workload(module, "quantized"), tasks[0].target)

    [exported] = export_metaschedule(log_of((*tasks, quantized), 1), tmp_path / "databases")

    assert exported.records == len(tasks)
    assert exported.left_out == ("quantized: quantized products are an operator of this package",)
    assert "pair_product" not in (exported.folder / "database_workload.json").read_text()


def test_records_come_back_with_the_same_keys_configs_and_times(
    tasks: tuple[TuningTask, ...], tmp_path: Path
) -> None:
    log = log_of(tasks)
    export_metaschedule(log, tmp_path, top=100)
    back = import_metaschedule(tmp_path, None)
    assert back.left_out == {}

    def facts(record: TuningRecord) -> tuple[object, ...]:
        return (
            record.task.key,
            str(record.task.target),
            record.device.key,
            record.config,
            record.measurement.run_secs,
        )

    ran = [record for record in log.iterate() if isinstance(record.measurement, Timing)]
    assert {facts(record) for record in back.records} == {facts(record) for record in ran}
    assert len(back.records) == len(ran) == 6 * len(tasks)
    for record in back.records:
        space = TensorIRSpace(record.task)
        assert record.trace == space.apply(record.config).trace
        assert (record.trace is None) is (record.config == space.default)


def test_what_cannot_be_taken_is_counted_by_reason(tasks: tuple[TuningTask, ...], tmp_path: Path) -> None:
    [exported] = export_metaschedule(log_of(tasks), tmp_path, top=100)
    path = exported.folder / RECORDS
    place, (trace, secs, target, arguments) = json.loads(path.read_text().splitlines()[1])
    cut = [trace[0][:-1], trace[1]]
    lines = [
        [place, [trace, [1e10], target, arguments]],
        [place, [cut, secs, target, arguments]],
        [99, [trace, secs, target, arguments]],
        [place, [[[["Nonsense", [], [], []]], []], secs, target, arguments]],
    ]
    path.write_text("\n".join(["no JSON", *map(json.dumps, lines)]) + "\n")
    back = import_metaschedule(tmp_path, None)
    assert [record.measurement for record in back.records] == [
        Failure(FailureKind.RUN_ERROR, "MetaSchedule recorded a failure, without a reason")
    ]
    assert back.left_out == {"the line is damaged": 3, "no sketch of this version gives the same program": 1}


def test_the_device_may_be_named_and_is_no_real_one_where_nobody_knows(
    tasks: tuple[TuningTask, ...], tmp_path: Path
) -> None:
    [exported] = export_metaschedule(log_of(tasks), tmp_path)
    other = DeviceFingerprint("other", {"cores": 4})
    assert {record.device for record in import_metaschedule(tmp_path, other).records} == {other}
    (exported.folder / "device.json").unlink()
    [unknown] = import_metaschedule(tmp_path, None).records
    assert unknown.device.key not in (HERE.key, other.key)
    assert unknown.task.target == tasks[0].target, "what TVM adds to a target by itself is left out"


def test_a_database_is_not_written_over_and_an_empty_folder_is_misuse(
    tasks: tuple[TuningTask, ...], tmp_path: Path
) -> None:
    export_metaschedule(log_of(tasks), tmp_path / "out")
    with pytest.raises(Misuse, match="found one in"):
        export_metaschedule(log_of(tasks), tmp_path / "out")
    with pytest.raises(Misuse, match="none to export"):
        export_metaschedule(TuningLog.in_memory(), tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Misuse, match="found none"):
        import_metaschedule(tmp_path / "empty", None)


def test_a_log_is_a_database_around_tvms_own_pass(tasks: tuple[TuningTask, ...], target: Target) -> None:
    log = log_of(tasks)
    lowered = relax.get_pipeline("zero")(network())
    with modules.tvm_target(target), database(log, target, HERE):
        applied = relax.transform.MetaScheduleApplyDatabase()(lowered)
    scheduled = [
        func for func in applied.functions.values() if func.attrs and "tirx.is_scheduled" in func.attrs
    ]
    assert len(scheduled) == len(tasks)
    assert compile(network(), target, log, HERE).coverage.untuned == ()


def test_a_database_that_metaschedule_itself_wrote_is_read() -> None:
    """The golden one: `tune_tir` of TVM 0.27 with eight trials of a matmul:64,64,64."""
    back = import_metaschedule(DATABASE, HERE)

    assert back.left_out == {}
    assert len({record.config for record in back.records}) == 8
    matmul = operator_task("matmul:64,64,64", Target("llvm"))
    assert {record.task.key for record in back.records} == {matmul.key}
    assert all(1e-6 < record.secs < 1e-3 for record in back.records)
