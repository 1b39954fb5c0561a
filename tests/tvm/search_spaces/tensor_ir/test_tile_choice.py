"""Register tiles keep multiply-adds busy, and loads few where every scalar needs one of its own."""

import pytest

from search_spaces.tensor_ir.tile_choice import Columns, Rows, register_tile
from search_spaces.tensor_ir.vector_unit import IN_FLIGHT, SLACK, VectorUnit

AVX2 = VectorUnit(lanes=8, registers=16, scalar_registers=2, spreads_operands=False, cores=2)
AVX512 = VectorUnit(lanes=16, registers=32, scalar_registers=2, spreads_operands=True, cores=2)


def product(rows: int) -> Rows:
    """Rows of a product, the last tile of which may be partial."""
    return Rows(((0, rows),), are_alike=True, repeats={0: 16})


@pytest.mark.parametrize("rows", [10, 13, 14, 20, 28, 40, 56, 64, 128, 197])
@pytest.mark.parametrize("columns", [32, 64, 96, 256, 768, 3072])
def test_of_16_registers_ten_or_more_sums_are_in_flight_and_loads_are_fewer(rows: int, columns: int) -> None:
    tile = register_tile(Columns(columns), product(rows), AVX2)

    sums = tile.height * tile.vectors
    assert AVX2.holds(tile.height, tile.vectors)
    assert sums >= 0.9 * SLACK * IN_FLIGHT
    assert sums >= 1.4 * (tile.height + tile.vectors)


def test_of_32_registers_13_rows_are_one_tile() -> None:
    tile = register_tile(Columns(256), product(13), AVX512)

    assert (tile.height, tile.vectors) == (13, 2)


def test_rows_that_read_columns_of_their_own_need_no_slack() -> None:
    depthwise = Rows(((0, 64),), are_alike=False, repeats={0: 16})

    assert register_tile(Columns(16), depthwise, AVX512).height == IN_FLIGHT


@pytest.mark.parametrize("columns", [32, 64, 192, 576, 768])
@pytest.mark.parametrize("unit", [AVX2, AVX512])
def test_a_prime_number_of_rows_is_cut_where_a_narrower_tile_leaves_each_core_its_columns(
    columns: int, unit: VectorUnit
) -> None:
    tile = register_tile(Columns(columns), Rows(((0, 197),), are_alike=True, repeats={0: 1}), unit)

    assert tile.height > 1
    assert columns // tile.width % unit.cores == 0
