"""The inner search: what it proposes, what it never proposes, and that it learns."""

import math
from itertools import pairwise

import numpy as np
import pytest

from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from autotune.search.variation import ConfigVariation
from search_spaces import Choose, Config, Decision, IllegalSchedule, ToySpace

SPACE = ToySpace(256)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Session:
    """Proposes and measures toy configs, as a tuner would."""

    def __init__(self, seed: int, proposer: ConfigProposer | None = None) -> None:
        self.proposer = proposer or ConfigProposer(draft=200)
        self.rng = rng(seed)
        self.measured: list[Config] = []
        self.losses: list[float] = []
        self.illegal: list[Config] = []

    def screen(self, config: Config) -> Config | None:
        try:
            return SPACE.apply(config).config
        except IllegalSchedule:
            self.illegal.append(config)
            return None

    def step(self, count: int) -> list[Config]:
        observations = Observations(tuple(self.measured), tuple(self.losses), tuple(self.illegal))
        proposed = self.proposer.propose(SPACE.answer, observations, count, self.rng, self.screen)
        self.measured += proposed
        self.losses += [SPACE.apply(config).schedule.run_secs for config in proposed]
        return proposed


def test_proposals_are_new_different_and_legal() -> None:
    session = Session(0)
    for _ in range(12):
        assert len(session.step(4)) == 4
    assert len(set(session.measured)) == 48
    assert not set(session.measured) & set(session.illegal)
    assert len(set(session.illegal)) == len(session.illegal)


def test_the_best_of_a_few_trials_is_better_than_chance_would_have_it() -> None:
    best = []
    for seed in range(5):
        session = Session(seed)
        while len(session.measured) < 40:
            session.step(4)
        best.append(min(session.losses))
    every = [SPACE.apply(config).schedule.run_secs for config in _legal_configs()]
    # 40 random draws find the best 1 % in a third of all cases.
    assert np.median(best) <= np.quantile(every, 0.01)


def _legal_configs() -> list[Config]:
    variation = ConfigVariation(SPACE.answer, rng())
    found = {variation.random() for _ in range(4000)}
    legal = []
    for config in found:
        try:
            legal.append(SPACE.apply(config).config)
        except IllegalSchedule:
            continue
    return legal


def test_the_same_seed_and_measurements_give_the_same_proposals() -> None:
    sessions = [Session(7), Session(7), Session(8)]
    for session in sessions:
        for _ in range(8):
            session.step(4)
    assert sessions[0].measured == sessions[1].measured
    assert sessions[0].measured != sessions[2].measured


def flat(choose: Choose) -> Config:
    decisions = [Decision(name, tuple(range(8))) for name in "abc"]
    return Config(tuple((decision.name, decision.choices[choose(decision)]) for decision in decisions))


def draws(count: int) -> list[Config]:
    draw = rng(1)
    return [flat(lambda decision: int(draw.integers(len(decision.choices)))) for _ in range(count)]


def test_a_region_that_fails_is_left_alone() -> None:
    measured = draws(60)
    failed = [config for config in measured if config.by_name["a"] >= 4]
    losses = tuple(math.inf if config in failed else float(1 + config.by_name["b"]) for config in measured)
    proposed = ConfigProposer(draft=200).propose(flat, Observations(tuple(measured), losses), 16, rng())
    assert sum(config.by_name["a"] >= 4 for config in proposed) <= 1


def test_illegal_configs_teach_as_much_as_failures() -> None:
    drawn = draws(80)
    illegal = tuple(config for config in drawn if config.by_name["c"] % 2)
    measured = tuple(dict.fromkeys(config for config in drawn if config not in illegal))
    losses = tuple(float(1 + config.by_name["b"]) for config in measured)
    proposed = ConfigProposer(draft=200).propose(flat, Observations(measured, losses, illegal), 16, rng())
    assert sum(config.by_name["c"] % 2 for config in proposed) <= 3


def test_what_is_being_measured_is_not_proposed_again() -> None:
    pending = tuple(draws(40))
    proposed = ConfigProposer(draft=2000).propose(flat, Observations(pending=pending), 400, rng())
    assert not set(proposed) & set(pending)


def test_a_space_is_used_up_to_its_end_and_no_further() -> None:
    def small(choose: Choose) -> Config:
        decision = Decision("only", (1, 2, 3, 4))
        return Config((("only", decision.choices[choose(decision)]),))

    first = ConfigProposer().propose(small, Observations(), 3, rng())
    observations = Observations(tuple(first), (1.0, 2.0, 3.0))
    assert len(ConfigProposer(start=2).propose(small, observations, 3, rng())) == 1


def test_hints_come_first_and_are_completed_where_they_say_nothing() -> None:
    initial = Config((("a", 5), ("b", 6), ("from another space", "yes")))
    proposed = ConfigProposer().propose(flat, Observations(initial_configs=(initial,)), 4, rng())
    assert proposed[0].answers[:2] == (("a", 5), ("b", 6))
    assert proposed[0].answers[2][0] == "c"


def test_two_names_of_one_program_are_proposed_once() -> None:
    def canonical(config: Config) -> Config:
        return Config((("a", 0), *config.answers[1:]))

    proposed = ConfigProposer().propose(flat, Observations(), 100, rng(), canonical)
    assert len(set(proposed)) == len(proposed) == 64


@pytest.mark.parametrize("extent", [64, 256])
def test_neighbours_differ_in_one_related_answer(extent: int) -> None:
    variation = ConfigVariation(ToySpace(extent).answer, rng())
    parent = Config(
        (("style", "tiled"), ("tile_x", (extent // 16, 16)), ("tile_y", (extent, 1)), ("unroll", 2))
    )
    variation.learn([parent])
    near = [config for configs in variation.neighbours(parent).values() for config in configs]
    changed = [set(config.answers) - set(parent.answers) for config in near]
    assert {answer for change in changed for answer in change} == {
        ("tile_x", (extent // 8, 8)),
        ("tile_x", (extent // 32, 32)),
        ("tile_y", (extent // 2, 2)),
        ("unroll", 1),
        ("unroll", 4),
        ("unroll", 8),
        ("style", "default"),
    }


def test_mutants_and_children_are_configs_of_the_space() -> None:
    variation = ConfigVariation(SPACE.answer, rng())
    parents = [variation.random() for _ in range(20)]
    for mother, father in pairwise(parents):
        for config in (variation.mutate(mother), variation.cross(mother, father)):
            assert SPACE.answer(config) == config


def test_new_hints_have_a_share_of_later_batches_too() -> None:
    measured = draws(40)
    initial_configs = tuple(config for config in draws(80) if config not in measured)[:8]
    losses = tuple(float(1 + config.by_name["b"]) for config in measured)
    observations = Observations(tuple(measured), losses, initial_configs=initial_configs)

    without = ConfigProposer(draft=200, initial=0.0).propose(flat, observations, 16, rng())
    warm = ConfigProposer(draft=200, initial=0.4).propose(flat, observations, 16, rng())

    assert len(set(warm) & set(initial_configs)) > len(set(without) & set(initial_configs))
