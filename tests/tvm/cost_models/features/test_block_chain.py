"""Blocks that are computed inside the loops of others: the loops that we foresee are those that TVM makes."""

import numpy as np
import pytest
import tvm
from tvm import te

from cost_models.features.block_chain import CHAIN_COLUMNS, chain_row
from cost_models.features.sketch_outline import outline
from search_spaces import Config, IllegalSchedule, Target, TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace

TARGET = Target.parse("llvm -mcpu=haswell -num-cores=2")


def average_pool() -> list[te.Tensor]:
    data = te.placeholder((1, 16, 14, 14), name="data")
    return [data, tvm.topi.nn.pool2d(data, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], "avg")]


def maximum_pool() -> list[te.Tensor]:
    data = te.placeholder((1, 16, 15, 15), name="data")
    return [data, tvm.topi.nn.pool2d(data, [3, 3], [2, 2], [1, 1], [0, 0, 0, 0], "max")]


def mean() -> list[te.Tensor]:
    data = te.placeholder((1, 64, 7, 7), name="data")
    return [data, tvm.topi.sum(data, axis=[2, 3], keepdims=True) / 49.0]


def prime_sum() -> list[te.Tensor]:
    """Its tile has a single choice, which no config answers: 97 and 1, as 97 is too large for the inner loop."""
    data = te.placeholder((16, 97), name="data")
    return [data, tvm.topi.sum(data, axis=[1], keepdims=True) / 97.0]


def softmax() -> list[te.Tensor]:
    data = te.placeholder((32, 96), name="data")
    return [data, tvm.topi.nn.softmax(data, axis=1)]


def space_of(operator: list[te.Tensor]) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(te.create_prim_func(operator), "operator"), TARGET))


def some_configs(space: TensorIRSpace, count: int) -> list[Config]:
    rng = np.random.default_rng(0)
    found: list[Config] = []
    while len(found) < count:
        try:
            config = space.apply(
                space.answer(lambda decision: int(rng.integers(len(decision.choices))))
            ).config
        except IllegalSchedule:
            continue
        if config != space.default:
            found.append(config)
    return found


def made_by_tvm(space: TensorIRSpace, config: Config) -> dict[str, tuple[int, ...]]:
    sketch = next(each for each in space.sketches if each.name == config.by_name["sketch"])
    schedule, _ = sketch.replay(config.by_name)
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    return {
        str(schedule.get(block).name_hint): tuple(
            int(schedule.get(loop).extent) for loop in schedule.get_loops(block)
        )
        for block in blocks
    }


@pytest.mark.parametrize("operator", [average_pool, maximum_pool, mean, prime_sum, softmax])
def test_the_loops_that_are_foreseen_are_those_that_tvm_makes(operator: object) -> None:
    space = space_of(operator())  # type: ignore[operator]
    chains = {sketch.name: outline(sketch).chain for sketch in space.sketches}
    configs = some_configs(space, 30)
    for config in configs:
        foreseen = chains[str(config.by_name["sketch"])].loops(config.by_name)
        assert {name: loops.extents for name, loops in foreseen.items()} == made_by_tvm(space, config)


def row_of(space: TensorIRSpace, locations: tuple[int, ...]) -> dict[str, float]:
    """The columns of the sketch that splits no sum, with its blocks computed there."""
    for sketch in space.sketches:
        chain = outline(sketch).chain
        if not any(block.tile for block in chain.blocks.values()):
            answers = dict(zip((name for name, _ in chain.locations), locations, strict=True))
            return dict(zip(CHAIN_COLUMNS, chain_row(chain, answers), strict=True))
    raise AssertionError("there is no such sketch")


def test_columns_say_what_is_computed_how_often() -> None:
    """Sums of 3 by 3 in the image's loops (1, 16, 14, 14), the padded image in those of the sums."""
    space = space_of(average_pool())
    apart = row_of(space, (-1, -1))
    assert (apart["separate_nests"], apart["block0_around"], apart["block1_again"]) == (3.0, 0.0, 0.0)
    inside = row_of(space, (1, 1))
    assert inside["separate_nests"] == 1.0
    assert inside["shared_steps"] == inside["block0_around"] == 4.0  # one channel of sixteen at a time
    assert inside["block0_sums"] == pytest.approx(np.log2(9))
    assert inside["block0_row"] == pytest.approx(np.log2(14))
    assert inside["block1_again"] == 0.0
    rows = row_of(space, (2, 2))  # a row of the result at a time reads three of the padded image, each thrice
    assert rows["block1_own"] == pytest.approx(np.log2(3 * 16))
    assert rows["block1_again"] == pytest.approx(np.log2(14 * 3 / 16))
    assert np.isnan(row_of(space, (1, -2))["block1_own"])
