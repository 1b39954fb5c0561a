"""The laws of a search space, on one that needs no compiler."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Config, Decision, IllegalSchedule, ToySpace
from search_spaces.enumeration import enumerate_configs


@given(st.integers(0, 2**32 - 1))
def test_a_candidates_config_replays_to_an_equal_candidate(seed: int) -> None:
    space = ToySpace()
    rng = np.random.default_rng(seed)
    try:
        candidate = space.apply(lambda decision: int(rng.integers(len(decision.choices))))
    except IllegalSchedule:
        return
    assert space.apply(candidate.config) == candidate


def test_enumeration_visits_every_config_once() -> None:
    space = ToySpace(8)
    configs = list(enumerate_configs(space))
    assert len(configs) == len(set(configs)) == space.size == 1 + 4 * 4 * 4
    assert configs[0] == space.default


def test_a_tile_beyond_the_cache_is_illegal_with_the_reason() -> None:
    config = Config((("style", "tiled"), ("tile_x", (1, 64)), ("tile_y", (1, 64)), ("unroll", 1)))
    with pytest.raises(IllegalSchedule, match="4096 elements does not fit"):
        ToySpace().apply(config)


def test_the_default_schedule_is_in_the_space_and_is_not_the_best() -> None:
    space = ToySpace()
    default = space.apply(space.default).schedule.run_secs
    legal = []
    for config in enumerate_configs(space):
        try:
            legal.append(space.apply(config).schedule.run_secs)
        except IllegalSchedule:
            continue
    assert default in legal
    assert min(legal) < default / 5


def test_one_name_always_comes_with_the_same_choices() -> None:
    space, seen = ToySpace(), {}
    rng = np.random.default_rng(0)

    def choose(decision: Decision) -> int:
        assert seen.setdefault(decision.name, decision.choices) == decision.choices
        return int(rng.integers(len(decision.choices)))

    for _ in range(100):
        space.answer(choose)
    assert set(seen) == {"style", "tile_x", "tile_y", "unroll"}
