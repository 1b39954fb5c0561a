"""What decides between configs that nobody has measured."""

from dataclasses import replace

import numpy as np

from autotune.search.observations import Observations
from autotune.search.surrogate import Surrogate
from search_spaces import Config, Decision
from tuning_logs import GpuResources

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


def test_what_is_expected_to_spill_is_put_last() -> None:
    configs = [config(tile, unroll) for tile in TILE.choices[::2] for unroll in (0, 512)]
    spilled = [100 * tile if unroll else 0 for tile, unroll in map(_answers, configs)]
    resources = tuple(GpuResources(64, bytes_, 0) for bytes_ in spilled)
    losses = tuple(1e-3 * (1 + bytes_) for bytes_ in spilled)
    seen = Observations(tuple(configs), losses, resources=resources)
    surrogate = Surrogate.of(seen, [TILE, UNROLL], seed=0)
    new = [config(tile, unroll) for tile in TILE.choices[1::2] for unroll in (0, 512)]
    ranked = surrogate.best(new, len(new))
    assert [_answers(one)[1] for one in ranked] == [0] * 16 + [512] * 16
    assert surrogate.resources is not None


def test_what_leaves_multiprocessors_idle_is_put_last() -> None:
    configs = [config(tile, unroll) for tile in TILE.choices[::2] for unroll in (0, 512)]
    shares = [1 / 16 if unroll else 1.0 for _, unroll in map(_answers, configs)]
    resources = tuple(GpuResources(64, 0, 0, 0, 128, share) for share in shares)
    seen = Observations(tuple(configs), tuple(1e-3 / share for share in shares), resources=resources)
    surrogate = Surrogate.of(seen, [TILE, UNROLL], seed=0)
    new = [config(tile, unroll) for tile in TILE.choices[1::2] for unroll in (0, 512)]
    ranked = surrogate.best(new, len(new))
    assert [_answers(one)[1] for one in ranked] == [0] * 16 + [512] * 16


def test_without_a_report_of_a_compiler_there_is_no_model_of_resources() -> None:
    seen = observations(1.0)
    unknown = replace(seen, resources=(None,) * len(seen.measured))
    assert Surrogate.of(unknown, [TILE, UNROLL], seed=0).resources is None
