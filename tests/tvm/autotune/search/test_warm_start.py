"""What a search tries first where the log knows the operator at other sizes."""

from __future__ import annotations

import numpy as np

from autotune.models.operators import operator_task
from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.task_study import TaskStudy
from autotune.search.warm_start import WarmStart
from search_spaces import Config, IllegalSchedule, Target, TuningTask
from search_spaces.config_transfer import transferred
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from tuning_logs import DeviceFingerprint, Job, Provenance, Timing, TuningLog, TuningRecord

HERE = DeviceFingerprint("here", {"threads": 2})
ELSEWHERE = DeviceFingerprint("elsewhere", {"threads": 64})
JOB = Job("job", 0, "random", "2026-01-01T00:00:00Z")


def tuned(
    log: TuningLog,
    task: TuningTask,
    seed: int,
    secs: float,
    device: DeviceFingerprint = HERE,
    trials: int = 16,
) -> Config:
    """Notes, as often as there are trials, that some scheduled config took so long, and gives it back."""
    space, rng = TensorIRSpace(task), np.random.default_rng(seed)
    config = space.default
    while config == space.default:
        try:
            config = space.apply(lambda decision: int(rng.integers(len(decision.choices)))).config
        except IllegalSchedule:
            continue
    timing = Timing((secs,), 0.1)
    record = TuningRecord(task, device, space.version, config, timing, None, Provenance(JOB, 0, JOB.started))
    log.append([record] * trials)
    return config


def test_the_nearest_sizes_best_comes_first_then_others_then_second_bests(target: Target) -> None:
    log = TuningLog.in_memory()
    near, far = operator_task("matmul:64,64,64", target), operator_task("matmul:512,64,64", target)
    far_best = tuned(log, far, seed=1, secs=1.0)
    near_second = tuned(log, near, seed=2, secs=2.0)
    near_best = tuned(log, near, seed=3, secs=1.0)
    tuned(log, near, seed=4, secs=3.0)
    space = TensorIRSpace(operator_task("matmul:64,64,128", target))

    found = WarmStart(log, HERE).of(space)

    assert found == [space.answer(transferred(config)) for config in (near_best, far_best, near_second)]


def test_a_sketch_that_this_size_lacks_is_no_advice(target: Target) -> None:
    """Only a product with long rows has sketches that pack an operand."""
    log = TuningLog.in_memory()
    space = TensorIRSpace(operator_task("matmul:64,64,128", target))
    known = {sketch.name for sketch in space.sketches}
    packed = operator_task("matmul:64,512,512", target)
    seed = next(
        seed
        for seed in range(100)
        if tuned(TuningLog.in_memory(), packed, seed, 1.0).by_name["sketch"] not in known
    )
    tuned(log, packed, seed, secs=1.0)
    assert WarmStart(log, HERE).of(space) == []


def test_other_devices_other_operators_and_what_was_hardly_searched_teach_nothing(target: Target) -> None:
    log = TuningLog.in_memory()
    task = operator_task("matmul:64,64,64", target)
    space = TensorIRSpace(task)
    timing, provenance = Timing((1.0,), 0.1), Provenance(JOB, 0, JOB.started)
    log.append([TuningRecord(task, HERE, space.version, space.default, timing, None, provenance)] * 16)
    tuned(log, task, seed=1, secs=1.0, device=ELSEWHERE)
    tuned(log, operator_task("matmul_relu:64,64,64", target), seed=1, secs=1.0)
    tuned(log, operator_task("matmul:64,64,32", target), seed=1, secs=1.0, trials=15)

    assert WarmStart(log, HERE).of(TensorIRSpace(operator_task("matmul:64,64,128", target))) == []


def test_the_same_operator_on_another_device_comes_before_other_sizes(target: Target) -> None:
    log = TuningLog.in_memory()
    task = operator_task("matmul:64,64,64", target)
    other_vectors = TuningTask(task.workload, target.with_attr("mcpu", "nehalem"))
    near_best = tuned(log, operator_task("matmul:64,64,128", target), seed=1, secs=1.0)
    there_second = tuned(log, task, seed=2, secs=2.0, device=ELSEWHERE)
    there_best = tuned(log, task, seed=3, secs=1.0, device=ELSEWHERE)
    old_target_best = tuned(log, other_vectors, seed=4, secs=1.0)
    tuned(log, TuningTask(task.workload, Target("nvidia/nvidia-a100")), seed=5, secs=1.0, device=ELSEWHERE)
    space = TensorIRSpace(task)

    found = WarmStart(log, HERE).of(space)

    first = {space.answer(transferred(config)) for config in (there_best, old_target_best)}
    assert set(found[:2]) == first
    assert found[2:] == [space.answer(transferred(config)) for config in (near_best, there_second)]


def test_a_study_tries_them_before_anything_else(target: Target) -> None:
    log = TuningLog.in_memory()
    config = tuned(log, operator_task("matmul:64,64,64", target), seed=3, secs=1.0)
    space = TensorIRSpace(operator_task("matmul:64,64,128", target))
    study = TaskStudy(
        space, CostModelSampler(seed=0), np.random.default_rng(0), similar=WarmStart(log, HERE).of
    )

    [first, *_] = study.ask(4)

    assert first.config == space.apply(transferred(config)).config
