"""Sketches with a packed operand: there where they may pay, right, in panels, and replayed like any other."""

import numpy as np
import pytest
import tvm
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from search_spaces import Config, Target, TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

CPU = Target.parse("llvm -num-cores=2")


def space_of(func: tvm.tirx.PrimFunc, target: Target = CPU) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(func, "operator"), target))


def packed_sketches(space: TensorIRSpace) -> list[str]:
    return [sketch.name for sketch in space.sketches if "cache_read" in str(sketch.trace)]


@pytest.fixture(scope="module")
def product() -> TensorIRSpace:
    return space_of(te.create_prim_func(te_workload.matmul_relu(60, 256, 256)))


def draft(space: TensorIRSpace, sketch: str) -> Config:
    rng = np.random.default_rng(0)
    return next(config for config in space.heuristic_samples(200, rng) if config.by_name["sketch"] == sketch)


def test_they_come_after_tvms_own_with_the_same_questions(product: TensorIRSpace) -> None:
    own = len(product.sketches) // 2
    assert packed_sketches(product) == [sketch.name for sketch in product.sketches[own:]]
    for plain, packed in zip(product.sketches[:own], product.sketches[own:], strict=True):
        assert plain.decisions == packed.decisions


def assert_product(module: tvm.IRModule) -> None:
    rng = np.random.default_rng(1)
    left, right = (rng.standard_normal(shape).astype(np.float32) for shape in ((60, 256), (256, 256)))
    kernel = tvm.compile(module, target=modules.tvm_target(CPU))
    result = tvm.runtime.tensor(np.zeros((60, 256), np.float32))
    kernel["main"](tvm.runtime.tensor(left), tvm.runtime.tensor(right), result)
    np.testing.assert_allclose(result.numpy(), np.maximum(left @ right, 0), rtol=1e-4, atol=1e-4)


def test_they_compute_the_product(product: TensorIRSpace) -> None:
    for sketch in packed_sketches(product):
        assert_product(product.apply(draft(product, sketch)).schedule.mod)


@pytest.mark.parametrize("panels", [(4, 2, 1, 32), (2, 4, 2, 16), (8, 1, 4, 8), (16, 16, 1, 1)])
def test_vectors_of_the_copy_follow_each_other(product: TensorIRSpace, panels: tuple[int, ...]) -> None:
    name = packed_sketches(product)[0]
    answers = {**draft(product, name).by_name, "tile-1": panels}
    module = product.apply(Config(tuple(answers.items()))).schedule.mod
    width = panels[-1]
    assert f"({256 // width}, 256, {width})" in module.script() or width == 1
    assert_product(module)


def test_they_are_replayed_from_their_config_and_from_their_trace(product: TensorIRSpace) -> None:
    candidate = product.apply(draft(product, packed_sketches(product)[0]))
    assert candidate.trace is not None
    for again in (product.apply(candidate.config), product.replay(candidate.config, candidate.trace)):
        tvm.ir.assert_structural_equal(again.schedule.mod, candidate.schedule.mod)


def test_small_operands_and_those_of_another_shape_are_not_packed() -> None:
    small = te_workload.matmul(128, 128, 128)
    channels_first = te_workload.conv2d_nchw(1, 14, 14, 128, 128, 3, 3, 1, 1)
    one_row = te_workload.matmul(1, 512, 512)
    for operator in (small, channels_first, one_row):
        assert packed_sketches(space_of(te.create_prim_func(operator))) == []


def test_constant_weights_are_packed_at_build_time_instead() -> None:
    func = te.create_prim_func(te_workload.matmul(64, 256, 256)).with_attr("layout_free_buffers", [1])
    assert packed_sketches(space_of(func)) == []
