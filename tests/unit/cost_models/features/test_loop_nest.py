"""What a tiling makes of a matmul's loops, worked out by hand."""

import numpy as np
import pytest

from cost_models.features.hardware import Hardware
from cost_models.features.loop_nest import Access, Axis, Loop, LoopNest, Term
from cost_models.features.nest_features import NEST_COLUMNS, nest_features
from search_spaces.config import Config

SMALL_CPU = Hardware(threads=2, vector_bits=256)


def matmul(size: int = 64) -> LoopNest:
    """c[i, j] += a[i, k] * b[k, j], tiled as SRS: i and j into two levels, k between them."""
    spatial, reduced = Axis(size, False), Axis(size, True)
    row, column, step = ((Term(axis, 1.0),) for axis in range(3))
    shape = (size, size)
    accesses = (
        Access("a", (row, step), shape, 4, is_output=False, is_packed=False),
        Access("b", (step, column), shape, 4, is_output=False, is_packed=True),
        Access("c", (row, column), shape, 4, is_output=True, is_packed=False),
    )
    loops = (
        Loop(0, "i", 0, 1),
        Loop(1, "j", 0, 1),
        Loop(2, "k", 0, size),
        Loop(0, "i", 1, 1),
        Loop(1, "j", 1, 1),
    )
    return LoopNest((spatial, spatial, reduced), accesses, loops)


def config(i: int, j: int, size: int = 64) -> Config:
    return Config((("i", (size // i, i)), ("j", (size // j, j))))


def feature(name: str, *configs: Config, parallel: int = 32) -> list[float]:
    found = nest_features(matmul(), configs, SMALL_CPU, parallel)
    return [round(float(value), 6) for value in found[:, NEST_COLUMNS.index(name)]]


def test_levels_are_runs_of_loops_of_one_kind_and_factor() -> None:
    assert matmul().levels == ((0, 1), (2,), (3, 4))


def test_the_contiguous_axis_is_the_one_along_which_results_lie_together() -> None:
    assert matmul().contiguous_axis == 1


def test_a_loop_that_is_not_asked_for_keeps_its_steps() -> None:
    assert matmul().extents([config(4, 16)]).tolist() == [[16, 4, 64, 4, 16]]


def test_tiles_grow_from_the_inside() -> None:
    nest = matmul()
    tiles = nest.tiles(nest.extents([config(4, 16)]))
    assert tiles[5, 0].tolist() == [1, 1, 1]
    assert tiles[3, 0].tolist() == [4, 16, 1]
    assert tiles[0, 0].tolist() == [64, 64, 64]


def test_whole_cache_lines_are_touched_unless_the_layout_follows_the_schedule() -> None:
    a, b, _ = matmul().accesses
    tiles = np.array([[4.0, 16.0, 1.0]])
    assert a.touched_bytes(tiles).tolist() == [4 * 64]  # a column: four rows of one line
    assert b.touched_bytes(tiles).tolist() == [16 * 4]


def test_a_window_touches_its_overlap_once_and_never_more_than_there_is() -> None:
    # x[2 * y + r] for 5 rows y and 3 taps r
    window = Access("x", ((Term(0, 2.0), Term(1, 1.0)),), (10,), 4, is_output=False, is_packed=True)
    assert window.touched_bytes(np.array([[1.0, 3.0], [2.0, 3.0], [9.0, 3.0]])).tolist() == [12, 20, 40]


def grouped() -> LoopNest:
    """y[c] += x[c // 28 * 6 + k] * w[k, c]: four groups of 28 channels, made of 6 each."""
    channel, step = Axis(112, False), Axis(6, True)
    accesses = (
        Access("x", ((Term(0, 6.0, 28), Term(1, 1.0)),), (24,), 4, is_output=False, is_packed=False),
        Access("w", ((Term(1, 1.0),), (Term(0, 1.0),)), (6, 112), 4, is_output=False, is_packed=True),
        Access("y", ((Term(0, 1.0),),), (112,), 4, is_output=True, is_packed=False),
    )
    loops = (Loop(0, "c", 0, 1), Loop(1, "k", 0, 6), Loop(0, "c", 1, 1))
    return LoopNest((channel, step), accesses, loops)


def test_channels_of_a_group_read_the_same() -> None:
    x, w, _ = grouped().accesses
    assert [x.stride(axis) for axis in (0, 1)] == [0.0, 1.0]
    assert x.spans(np.array([[28.0, 6.0], [56.0, 6.0], [14.0, 1.0]]))[0].tolist() == [6, 12, 1]
    assert (x.periods(0), w.periods(0)) == ((28,), ())


@pytest.mark.parametrize(("lanes", "pieces"), [(28, 1), (14, 1), (4, 1), (56, 2), (8, 2), (16, 2), (112, 4)])
def test_vectors_may_straddle_groups(lanes: int, pieces: int) -> None:
    configs = [Config((("c", (112 // lanes, lanes)),))]
    found = nest_features(grouped(), configs, SMALL_CPU, 32)
    assert found[0, NEST_COLUMNS.index("vector_groups")] == np.log2(pieces)


@pytest.mark.parametrize(("j", "lanes", "waste"), [(8, 0.0, 0.0), (32, 2.0, 0.0), (2, -2.0, 2.0)])
def test_vectors_are_counted_in_those_of_the_target(j: int, lanes: float, waste: float) -> None:
    assert feature("vector_lanes", config(4, j)) == [lanes]
    assert feature("vector_waste", config(4, j)) == [waste]


def test_the_register_tile_is_what_lies_within_the_reduction() -> None:
    assert feature("level0_steps", config(4, 16)) == [6.0]
    assert feature("accumulators", config(4, 16)) == [3.0]  # four rows of two vectors


def test_where_the_innermost_level_has_one_step_the_next_run_counts() -> None:
    one, other = config(1, 1), config(4, 16)
    assert feature("run0_reduces", one, other) == [1.0, 0.0]
    assert feature("run0_steps", one, other) == [6.0, 6.0]


def test_outer_loops_are_shared_until_there_are_enough_pieces() -> None:
    assert feature("chunks", config(4, 16), config(1, 1)) == [6.0, 6.0]
    assert feature("chunks", config(4, 16), parallel=0) == [0.0]


def test_a_tile_that_fits_a_cache_crosses_into_it_once() -> None:
    # All three matrices are 48 KiB: too large for the first level, within the second.
    traffic = feature("l2_traffic", config(4, 16))
    assert traffic == [round(float(np.log2(3 * 64 * 64 * 4) - 18), 6)]
    assert feature("l1_traffic", config(4, 16))[0] > traffic[0]


def test_levels_that_a_nest_does_not_have_are_missing() -> None:
    assert np.isnan(feature("level5_steps", config(4, 16))).all()
