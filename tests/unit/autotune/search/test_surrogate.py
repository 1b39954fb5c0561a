"""What decides between configs that nobody has measured."""

import numpy as np

from autotune.search.observations import Observations
from autotune.search.surrogate import Surrogate
from search_spaces import Config, Decision

TILE = Decision("tile", tuple(range(1, 33)))
UNROLL = Decision("unroll", (0, 512))


def config(tile: int, unroll: int) -> Config:
    return Config((("tile", tile), ("unroll", unroll)))


def observations(unroll_gain: float) -> Observations:
    rng = np.random.default_rng(0)
    configs = [config(tile, unroll) for tile in TILE.choices[::2] for unroll in (0, 512)]
    losses = [
        1.0 / tile * (unroll_gain if unroll else 1.0) + 1e-4 * rng.random()
        for tile, unroll in map(_answers, configs)
    ]
    build_secs = [0.9 if unroll else 0.2 for _, unroll in map(_answers, configs)]
    return Observations(tuple(configs), tuple(losses), build_secs=tuple(build_secs))


def _answers(one: Config) -> tuple[int, int]:
    return int(str(one.by_name["tile"])), int(str(one.by_name["unroll"]))


def test_of_two_that_promise_the_same_the_one_that_compiles_faster_is_preferred() -> None:
    surrogate = Surrogate.of(observations(1.0), [TILE, UNROLL], seed=0)
    pairs = [surrogate.best([config(tile, 512), config(tile, 0)], 2)[0] for tile in range(2, 33, 2)]
    assert all(best.by_name["unroll"] == 0 for best in pairs)


def test_a_longer_build_is_worth_a_much_faster_program() -> None:
    surrogate = Surrogate.of(observations(0.1), [TILE, UNROLL], seed=0)
    pairs = [surrogate.best([config(tile, 512), config(tile, 0)], 2)[0] for tile in range(2, 33, 2)]
    assert sum(best.by_name["unroll"] == 512 for best in pairs) > len(pairs) // 2
