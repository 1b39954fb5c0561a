"""Drafts of a space: legal, different, and with results that fit into the vector registers."""

import math

import numpy as np
import pytest
import tvm
from tvm import te, topi
from tvm.s_tir.meta_schedule.testing import te_workload

from search_spaces import Target, TuningTask
from search_spaces.tensor_ir import modules
from search_spaces.tensor_ir.register_blocking import RegisterBlocking
from search_spaces.tensor_ir.tensor_ir_space import TensorIRSpace
from search_spaces.tensor_ir.vector_unit import VectorUnit

AVX512 = Target.parse("llvm -mcpu=znver4 -num-cores=2")
AVX2 = Target.parse("llvm -mcpu=haswell -num-cores=2")


def space_of(func: tvm.tirx.PrimFunc, target: Target = AVX512) -> TensorIRSpace:
    return TensorIRSpace(TuningTask(modules.workload(func, "operator"), target))


def operator(name: str) -> tvm.tirx.PrimFunc:
    data = te.placeholder((1, 14, 14, 16), name="data")
    operators = {
        "matmul": lambda: te_workload.matmul(64, 64, 64),
        "one row": lambda: te_workload.matmul(1, 512, 512),
        "odd": lambda: te_workload.conv2d_nhwc(1, 13, 13, 5, 7, 3, 1, 1),
        "nchw": lambda: te_workload.conv2d_nchw(1, 14, 14, 8, 16, 3, 3, 1, 1),
        "depthwise": lambda: te_workload.depthwise_conv2d_nhwc(1, 14, 14, 32, 3, 1, 1),
        "winograd": lambda: [
            data,
            weight := te.placeholder((3, 3, 16, 32), name="weight"),
            topi.nn.conv2d_winograd_nhwc(data, weight, 1, 1, 1, "float32"),
        ],
    }
    return te.create_prim_func(operators[name]())


@pytest.mark.parametrize("name", ["matmul", "one row", "odd", "nchw", "depthwise", "winograd"])
def test_drafts_are_different_and_legal(name: str) -> None:
    space = space_of(operator(name))
    heuristic_samples = space.heuristic_samples(12, np.random.default_rng(0))
    assert len(set(heuristic_samples)) >= 6
    for config in heuristic_samples:
        assert space.apply(config).config.by_name["sketch"] == config.by_name["sketch"]


@pytest.mark.parametrize(("target", "lanes", "registers"), [(AVX512, 16, 32), (AVX2, 8, 14)])
def test_the_innermost_block_fits_into_the_vector_registers(
    target: Target, lanes: int, registers: int
) -> None:
    """AVX2 keeps two of its 16 registers for scalars that are spread over all lanes."""
    space = space_of(te.create_prim_func(te_workload.matmul(672, 768, 512)), target)
    for config in space.heuristic_samples(50, np.random.default_rng(1)):
        rows, columns = config.by_name["tile-0"], config.by_name["tile-1"]
        assert isinstance(rows, tuple)
        assert isinstance(columns, tuple)
        vectors = columns[-1] // lanes
        assert columns[-1] % lanes == 0
        assert vectors in (1, 2, 4)
        assert rows[-1] * vectors + vectors <= registers


def test_most_tasks_read_few_enough_columns_to_keep_them_in_a_cache() -> None:
    depth = 512
    space = space_of(te.create_prim_func(te_workload.matmul(512, 1024, depth)), AVX2)
    tilings = [config.by_name["tile-1"] for config in space.heuristic_samples(60, np.random.default_rng(2))]
    panels = [4 * depth * math.prod(tiling[1:]) for tiling in tilings if isinstance(tiling, tuple)]
    assert np.mean([panel <= 128 << 10 for panel in panels]) > 0.6


def test_the_same_seed_draws_the_same() -> None:
    space = space_of(operator("matmul"))
    assert space.heuristic_samples(5, np.random.default_rng(3)) == space.heuristic_samples(
        5, np.random.default_rng(3)
    )


def test_nothing_is_drafted_where_there_is_no_block_of_results() -> None:
    softmax = space_of(te.create_prim_func(te_workload.softmax_mn(16, 64)))
    on_gpu = space_of(operator("matmul"), Target("nvidia/nvidia-a100"))
    assert softmax.heuristic_samples(5, np.random.default_rng(0)) == []
    assert on_gpu.heuristic_samples(5, np.random.default_rng(0)) == []


def test_parallel_tasks_keep_the_cores_about_equally_busy() -> None:
    space = space_of(te.create_prim_func(te_workload.matmul(96, 96, 96)))
    blocking = RegisterBlocking(space.sketches[0].decisions, VectorUnit(16, 32, 2, True, 3), {})
    rng = np.random.default_rng(0)
    for _ in range(20):
        answers = blocking.draw(rng)
        tasks = math.prod(
            answer[0] for answer in answers.values() if isinstance(answer, tuple) and len(answer) == 4
        )
        assert tasks / (3 * math.ceil(tasks / 3)) > 0.9
