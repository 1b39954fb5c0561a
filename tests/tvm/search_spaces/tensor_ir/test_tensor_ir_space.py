"""TVM's sketches as questions: replayable, canonical, and named once."""

from collections.abc import Callable

import numpy as np
import pytest
import tvm
import tvm_ffi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm import s_tir, te
from tvm.s_tir.meta_schedule.testing import te_workload

from search_spaces import Decision, IllegalSchedule, Misuse, Target, TuningTask
from search_spaces.config import DEFAULT_SCHEDULE, UNTOUCHED
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.default_schedule import default_schedule
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

CPU = Target.parse("llvm -mcpu=haswell -num-cores=2")
GPU = Target("nvidia/nvidia-a100")


def space_of(func: tvm.tirx.PrimFunc, target: Target = CPU) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(func, "operator"), target))


def random_choices(seed: int) -> Callable[[Decision], int]:
    rng = np.random.default_rng(seed)
    return lambda decision: int(rng.integers(len(decision.choices)))


@pytest.fixture(scope="module", params=["matmul", "conv2d", "softmax"])
def space(request: pytest.FixtureRequest) -> TensorIRSpace:
    operators = {
        "matmul": lambda: te_workload.matmul(64, 64, 64),
        "conv2d": lambda: te_workload.conv2d_nhwc(1, 14, 14, 8, 16, 3, 1, 1),
        "softmax": lambda: te_workload.softmax_mn(16, 64),
    }
    return space_of(te.create_prim_func(operators[request.param]()))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replaying_a_candidates_config_gives_an_equal_module_and_the_same_config(
    space: TensorIRSpace, seed: int
) -> None:
    try:
        candidate = space.apply(random_choices(seed))
    except IllegalSchedule:
        return
    again = space.apply(candidate.config)
    assert again.config == candidate.config
    tvm.ir.assert_structural_equal(again.schedule.mod, candidate.schedule.mod)


def test_most_random_configs_are_legal_on_a_cpu_and_they_differ(space: TensorIRSpace) -> None:
    configs = set()
    for seed in range(20):
        try:
            configs.add(space.apply(random_choices(seed)).config)
        except IllegalSchedule:
            continue
    assert len(configs) >= 10


def test_one_name_always_comes_with_the_same_choices(space: TensorIRSpace) -> None:
    seen: dict[str, Decision] = {}
    for sketch in space.sketches:
        for decision in sketch.decisions:
            assert seen.setdefault(decision.name, decision) == decision


def test_answering_builds_nothing_but_asks_the_same(space: TensorIRSpace) -> None:
    config = space.answer(random_choices(7))
    assert space.answer(config) == config


def test_the_default_on_a_cpu_is_the_operator_as_builds_schedule_it_without_records(
    space: TensorIRSpace,
) -> None:
    candidate = space.apply(space.default)
    assert candidate.config == space.default == DEFAULT_SCHEDULE
    func = modules.load(space.task.workload.module)["main"]
    built = default_schedule(func, modules.tvm_target(CPU))
    tvm.ir.assert_structural_equal(candidate.schedule.mod["main"].body, built.body, map_free_vars=True)
    assert not tvm_ffi.structural_equal(built.body, func.body, map_free_vars=True)


def test_the_trace_of_the_default_gives_its_program(space: TensorIRSpace) -> None:
    candidate = space.apply(space.default)
    again = s_tir.Schedule(modules.load(space.task.workload.module))
    candidate.schedule.trace.apply_to_schedule(again, remove_postproc=False)
    tvm.ir.assert_structural_equal(again.mod["main"].body, candidate.schedule.mod["main"].body)


def test_the_untouched_operator_of_older_logs_still_applies(space: TensorIRSpace) -> None:
    candidate = space.apply(UNTOUCHED)
    assert candidate.config == UNTOUCHED
    tvm.ir.assert_structural_equal(candidate.schedule.mod, modules.load(space.task.workload.module))


def test_the_default_on_a_gpu_is_the_operator_untouched() -> None:
    space = space_of(te.create_prim_func(te_workload.matmul(64, 64, 64)), GPU)
    candidate = space.apply(space.default)
    assert candidate.config == space.default == UNTOUCHED
    tvm.ir.assert_structural_equal(candidate.schedule.mod, modules.load(space.task.workload.module))


def test_tiles_keep_tvms_limit_on_the_innermost_loop() -> None:
    space = space_of(te.create_prim_func(te_workload.matmul(256, 256, 256)))
    tiles = [d for sketch in space.sketches for d in sketch.decisions if d.name.startswith("tile")]
    assert tiles
    assert all(
        choice[-1] <= 64 for decision in tiles for choice in decision.choices if isinstance(choice, tuple)
    )


def test_a_config_of_another_operator_is_illegal() -> None:
    small = space_of(te.create_prim_func(te_workload.matmul(16, 16, 16)))
    large = space_of(te.create_prim_func(te_workload.matmul(64, 64, 64)))
    config = large.answer(lambda d: d.choices.index("sketch-0") if d.name == "sketch" else len(d.choices) - 1)
    with pytest.raises(IllegalSchedule, match="not among the"):
        small.apply(config)


def test_an_operator_with_nothing_to_decide_has_few_configs() -> None:
    data = te.placeholder((4, 8), "float32", "A")
    space = space_of(te.create_prim_func([data, te.compute((8, 4), lambda i, j: data[j, i], name="B")]))
    assert space.size <= 3


def test_a_gpu_turns_down_what_it_cannot_hold_with_the_reason() -> None:
    space = space_of(te.create_prim_func(te_workload.matmul(1024, 1024, 1024)), GPU)
    reasons, legal = set(), 0
    for seed in range(60):
        try:
            space.apply(random_choices(seed))
            legal += 1
        except IllegalSchedule as error:
            reasons.add(str(error))
    assert any("VerifyGPUCode" in reason for reason in reasons)
    assert legal >= 2


def test_pooling_is_scheduled_without_a_word_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    data = te.placeholder((1, 8, 16, 16), "float32", "A")
    pooled = tvm.topi.nn.pool2d(data, [2, 2], [2, 2], [1, 1], [0, 0, 0, 0], "max")
    space = space_of(te.create_prim_func([data, pooled]))
    assert space.size > 2
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "target",
    [
        "llvm",
        "llvm -num-cores=0",
        "llvm -num-cores=-1",
        "cuda -arch=sm_80",
        "cuda -arch=sm_80 -max_threads_per_block=1024",
        "cuda -arch=sm_80 -max_threads_per_block=-1 -max_shared_memory_per_block=49152",
    ],
)
def test_a_target_that_lacks_what_the_rules_divide_by_is_misuse(target: str) -> None:
    with pytest.raises(Misuse, match="nvidia/nvidia-a100"):
        space_of(te.create_prim_func(te_workload.matmul(8, 8, 8)), Target.parse(target))
