"""Configs as numbers: which columns, in which order, and what a missing answer looks like."""

import numpy as np

from cost_models.features.config_features import ConfigFeatures
from search_spaces.config import Config
from search_spaces.decision import Decision

TILE = Decision("tile", ((8, 1, 1), (2, 2, 2), (1, 1, 8)))
UNROLL = Decision("unroll", (0, 16, 64))
WIDTH = Decision("width", (1, 2, 8))
STYLE = Decision("style", ("plain", "tiled"))


def test_columns_follow_the_names_of_the_decisions_whatever_order_they_come_in() -> None:
    columns = ("style=plain", "style=tiled", "tile[0]", "tile[1]", "tile[2]", "tile[1:]", "unroll", "width")
    assert ConfigFeatures([TILE, UNROLL, WIDTH, STYLE]).columns == columns
    assert ConfigFeatures([STYLE, WIDTH, UNROLL, TILE, TILE]).columns == columns


def test_positive_numbers_and_factors_are_logarithms_other_numbers_stay() -> None:
    features = ConfigFeatures([TILE, UNROLL, WIDTH, STYLE])
    config = Config((("style", "tiled"), ("tile", (2, 2, 2)), ("unroll", 16), ("width", 8)))
    assert features.matrix([config]).tolist() == [[0, 1, 1, 1, 1, 2, 16, 3]]
    assert features.matrix([config]).dtype == np.float32


def test_questions_that_were_not_asked_are_missing() -> None:
    features = ConfigFeatures([STYLE, WIDTH])
    rows = features.matrix([Config((("style", "plain"),)), Config((("style", "tiled"), ("width", 2)))])
    assert np.isnan(rows[0, 2])
    assert rows[1].tolist() == [0, 1, 1]


def test_an_answer_that_is_not_among_the_choices_is_missing() -> None:
    assert np.isnan(ConfigFeatures([WIDTH]).matrix([Config((("width", 3),))])).all()


def test_what_is_the_same_for_every_choice_is_left_out() -> None:
    assert ConfigFeatures([Decision("only", (4,)), WIDTH]).columns == ("width",)
    assert ConfigFeatures([Decision("tile", ((4, 1, 2), (2, 2, 2)))]).columns == (
        "tile[0]",
        "tile[1]",
        "tile[1:]",
    )


def test_no_configs_and_no_decisions_still_have_a_shape() -> None:
    assert ConfigFeatures([WIDTH]).matrix([]).shape == (0, 1)
    assert ConfigFeatures([]).matrix([Config(())]).shape == (1, 0)


def test_loops_tiled_alike_also_count_together() -> None:
    other = Decision("tile_y", ((4, 1, 1), (1, 2, 2), (1, 1, 4)))
    reduction = Decision("tile_z", ((16, 1), (1, 16)))
    features = ConfigFeatures([TILE, other, reduction])
    volumes = ("volume-3[0]", "volume-3[1]", "volume-3[2]", "volume-3[1:]", "innermost")
    assert features.columns[-5:] == volumes

    rows = features.matrix(
        [
            Config((("tile", (2, 2, 2)), ("tile_y", (1, 2, 2)), ("tile_z", (1, 16)))),
            Config((("tile", (2, 2, 2)),)),
            Config(()),
        ]
    )

    assert rows[0, -5:].tolist() == [1, 2, 2, 4, 6]
    assert rows[1, -5:].tolist() == [1, 1, 1, 2, 1]
    assert np.isnan(rows[2]).all()


def test_positive_numbers_are_also_multiplied_and_divided() -> None:
    height = Decision("height", (1, 4, 16))
    features = ConfigFeatures([WIDTH, height, UNROLL, Decision("flag", (1, 2))])
    assert features.columns == ("flag", "height", "unroll", "width", "height*width", "height/width")

    rows = features.matrix([Config((("height", 4), ("width", 8))), Config((("width", 8),))])

    assert rows[0, -2:].tolist() == [5, -1]
    assert np.isnan(rows[1, -2:]).all()


def test_numbers_that_are_no_powers_of_two_show_which_power_divides_them() -> None:
    threads = Decision("threads", (16, 48, 64, 96))
    features = ConfigFeatures([threads, WIDTH])
    assert features.columns == ("threads", "threads|2", "width", "threads*width", "threads/width")
    rows = features.matrix([Config((("threads", number), ("width", 1))) for number in threads.choices])
    assert rows[:, 1].tolist() == [4, 4, 6, 5]


def test_so_many_numbers_are_not_paired() -> None:
    decisions = [Decision(f"x{number}", (1, 2, 4)) for number in range(11)]
    assert len(ConfigFeatures(decisions).columns) == 11
