"""A search that expects something from the first trial on: it uses what is right, and gets over what is wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from autotune.search.surrogate import Prior
from search_spaces import Config, IllegalSchedule, ToySpace

SPACE = ToySpace(1024)


def screen(config: Config) -> Config | None:
    try:
        return SPACE.apply(config).config
    except IllegalSchedule:
        return None


def secs(config: Config) -> float:
    return float(SPACE.apply(config).schedule.run_secs)


def rough_knowledge(configs: Sequence[Config]) -> NDArray[np.float64]:
    """Knows that square tiles of about 16 are good, and nothing of unrolling."""
    scores = []
    for config in configs:
        tiles = [answer[1] for _, answer in config if isinstance(answer, tuple)]
        scores.append(-sum(abs(np.log2(tile) - 4) for tile in tiles) if tiles else -100.0)
    return np.array(scores, dtype=np.float64)


def wrong(configs: Sequence[Config]) -> NDArray[np.float64]:
    return -rough_knowledge(configs)


def best_after(trials: int, seed: int, prior: Prior | None) -> float:
    proposer, rng = ConfigProposer(draft=200, prior=prior), np.random.default_rng(seed)
    measured: list[Config] = []
    while len(measured) < trials:
        observations = Observations(tuple(measured), tuple(secs(config) for config in measured))
        measured += proposer.propose(SPACE.answer, observations, 4, rng, screen)
    return min(secs(config) for config in measured)


def test_with_knowledge_of_the_like_twelve_trials_are_as_good_as_many_without() -> None:
    warm = np.median([best_after(12, seed, rough_knowledge) for seed in range(3)])
    cold = np.median([best_after(32, seed, None) for seed in range(3)])
    assert warm <= cold


def test_the_very_first_round_follows_the_prior() -> None:
    proposer = ConfigProposer(draft=200, prior=rough_knowledge)
    first = proposer.propose(SPACE.answer, Observations(), 4, np.random.default_rng(0), screen)
    anywhere = proposer.propose(SPACE.answer, Observations(), 4, np.random.default_rng(0), screen)
    assert first == anywhere  # a function of its arguments
    at_random = ConfigProposer().propose(SPACE.answer, Observations(), 40, np.random.default_rng(0), screen)
    assert np.median(rough_knowledge(first)) > np.quantile(rough_knowledge(at_random), 0.9)


def test_measurements_win_over_a_prior_that_is_wrong() -> None:
    misled = np.median([best_after(40, seed, wrong) for seed in range(3)])
    at_random = []
    for seed in range(3):
        drawn = ConfigProposer().propose(
            SPACE.answer, Observations(), 40, np.random.default_rng(seed), screen
        )
        at_random.append(min(secs(config) for config in drawn))
    assert misled <= np.median(at_random)
