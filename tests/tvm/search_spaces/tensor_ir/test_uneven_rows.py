"""Sketches whose tiles do not divide the rows: there where they may pay, right to the last row, and replayed."""

import math

import numpy as np
import pytest
import tvm
from tvm import te
from tvm.s_tir.meta_schedule.testing import te_workload

from cost_models.features.sketch_outline import outline
from search_spaces import Config, Target, TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.sketch import Sketch
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

# 16 registers: six rows of two vectors.
FEW_REGISTERS = Target.parse("llvm -num-cores=2")
MANY_REGISTERS = Target.parse("llvm -mcpu=znver4 -num-cores=2")


def space_of(operator: object, target: Target = FEW_REGISTERS) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(te.create_prim_func(operator), "operator"), target))


def uneven(space: TensorIRSpace) -> list[Sketch]:
    return [sketch for sketch in space.sketches if sketch.rows]


def heights(space: TensorIRSpace) -> set[int]:
    return {height for sketch in uneven(space) for height in sketch.rows.values()}


def cut(space: TensorIRSpace) -> set[str]:
    """Names of the tilings whose loops are cut, without those of their sketches."""
    return {name.rpartition("/")[2] for sketch in uneven(space) for name in sketch.rows}


def draft(space: TensorIRSpace, sketch: Sketch) -> Config:
    rng = np.random.default_rng(0)
    return next(
        config for config in space.heuristic_samples(400, rng) if config.by_name["sketch"] == sketch.name
    )


@pytest.mark.parametrize(("rows", "height"), [(512, 6), (128, 6), (28, 6), (16, 6), (49, 5), (13, 5)])
def test_rows_are_cut_where_tiles_that_divide_them_are_too_small(rows: int, height: int) -> None:
    assert heights(space_of(te_workload.matmul(rows, 64, 64))) == {height}


@pytest.mark.parametrize("rows", [60, 25, 7, 4, 1])
def test_rows_are_left_alone_where_a_good_tile_divides_them_or_the_last_would_be_idle(rows: int) -> None:
    assert not uneven(space_of(te_workload.matmul(rows, 64, 64)))


def test_their_names_do_not_depend_on_what_sketches_there_are_besides() -> None:
    for operator in (te_workload.matmul(28, 64, 64), te_workload.matmul(512, 512, 512)):
        names = [sketch.name for sketch in uneven(space_of(operator))]
        assert names == [f"uneven-{number}" for number, _ in enumerate(names)]


def test_with_many_registers_tiles_divide_the_usual_sizes() -> None:
    for rows in (512, 56, 49, 28):
        assert not uneven(space_of(te_workload.matmul(rows, 64, 64), MANY_REGISTERS))


def test_only_rows_that_multiply_the_same_columns_are_cut() -> None:
    """Each product of a batch has columns of its own; the height and width of an image share the weights."""
    assert cut(space_of(te_workload.batch_matmul_nkkm(12, 128, 64, 32))) == {"tile-1"}
    assert cut(space_of(te_workload.conv2d_nhwc(1, 56, 56, 8, 16, 3, 1, 1))) == {"tile-2"}


@pytest.mark.parametrize("rows", [16, 28, 62])
def test_they_compute_the_product(rows: int) -> None:
    space = space_of(te_workload.matmul_relu(rows, 192, 256))
    rng = np.random.default_rng(1)
    left, right = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, 256), (256, 192)))
    assert len(uneven(space)) == len(space.sketches) // 2
    for sketch in uneven(space):
        candidate = space.apply(draft(space, sketch))
        kernel = tvm.compile(candidate.schedule.mod, target=modules.tvm_target(FEW_REGISTERS))
        result = tvm.runtime.tensor(np.zeros((rows, 192), np.float32))
        kernel["main"](tvm.runtime.tensor(left), tvm.runtime.tensor(right), result)
        np.testing.assert_allclose(result.numpy(), np.maximum(left @ right, 0), rtol=1e-4, atol=1e-4)


def test_they_are_replayed_from_their_config_and_from_their_trace() -> None:
    space = space_of(te_workload.matmul(28, 64, 64))
    for sketch in uneven(space):
        candidate = space.apply(draft(space, sketch))
        assert candidate.trace is not None
        for again in (space.apply(candidate.config), space.replay(candidate.config, candidate.trace)):
            tvm.ir.assert_structural_equal(again.schedule.mod, candidate.schedule.mod)


def test_drafts_fill_the_registers_and_give_each_task_all_rows() -> None:
    space = space_of(te_workload.matmul(512, 512, 256))
    sketch = uneven(space)[0]
    [(tile, height)] = sketch.rows.items()
    rng = np.random.default_rng(0)
    drawn = [
        config.by_name
        for config in space.heuristic_samples(300, rng)
        if config.by_name["sketch"] == sketch.name
    ]
    for answers in drawn:
        rows, columns = answers[tile], answers["tile-1"]
        assert isinstance(rows, tuple)
        assert isinstance(columns, tuple)
        assert rows[0] == 1
        vectors = math.ceil(columns[-1] / 4)
        assert height * rows[-1] * vectors + vectors + 2 <= 16
    assert any(answers["tile-1"][-1] == 8 for answers in drawn)  # type: ignore[index]


def test_features_see_every_loop_of_them() -> None:
    space = space_of(te_workload.matmul(512, 64, 64))
    sketch = uneven(space)[0]
    [nest] = outline(sketch).nests
    [extents] = nest.extents([draft(space, sketch)])
    by_axis = [
        math.prod(e for e, loop in zip(extents, nest.loops, strict=True) if loop.axis == axis)
        for axis in (0, 1, 2)
    ]
    assert by_axis == [86 * 6, 64, 64]
