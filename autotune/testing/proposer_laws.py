"""Conformance suite of proposers of configs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotune.search.batch import Screen
from autotune.search.observations import Observations
from autotune.search.proposer import ConfigProposer
from search_spaces import Config, IllegalSchedule, SearchSpace

_BATCH = 6


class ProposerLaws:
    """Tests that every `ConfigProposer` passes. Derive a test class that has two fixtures:

    proposer: the ConfigProposer.
    space:    a SearchSpace with at least a hundred configs, some of which may be illegal.
    """

    def test_proposals_are_different_legal_and_unknown(
        self, proposer: ConfigProposer, space: SearchSpace
    ) -> None:
        observations, rng = Observations(), np.random.default_rng(0)
        for _ in range(5):
            proposed = proposer.propose(space.answer, observations, _BATCH, rng, _screen(space))
            assert len(proposed) == len(set(proposed)) == _BATCH
            assert not set(proposed) & observations.known
            assert [_screen(space)(config) for config in proposed] == proposed
            observations = _with(observations, proposed)

    def test_the_same_seed_and_observations_give_the_same_proposals(
        self, proposer: ConfigProposer, space: SearchSpace
    ) -> None:
        observations = Observations()
        for seed in range(3):
            first, again = (
                proposer.propose(
                    space.answer, observations, _BATCH, np.random.default_rng(seed), _screen(space)
                )
                for _ in range(2)
            )
            assert first == again
            observations = _with(observations, first)

    def test_what_is_being_measured_is_not_proposed(
        self, proposer: ConfigProposer, space: SearchSpace
    ) -> None:
        rng = np.random.default_rng(0)
        pending = proposer.propose(space.answer, Observations(), _BATCH, rng, _screen(space))
        observations = replace(Observations(), pending=tuple(pending))
        assert not set(pending) & set(
            proposer.propose(space.answer, observations, _BATCH, rng, _screen(space))
        )

    def test_where_nothing_is_legal_nothing_is_proposed(
        self, proposer: ConfigProposer, space: SearchSpace
    ) -> None:
        rng = np.random.default_rng(0)
        assert proposer.propose(space.answer, Observations(), _BATCH, rng, lambda _config: None) == []


def _screen(space: SearchSpace) -> Screen:
    def screen(config: Config) -> Config | None:
        try:
            return space.apply(config).config
        except IllegalSchedule:
            return None

    return screen


def _with(observations: Observations, measured: list[Config]) -> Observations:
    """More of them, of which every third failed."""
    losses = [np.inf if number % 3 == 2 else 1.0 + number for number in range(len(measured))]
    return replace(
        observations,
        measured=(*observations.measured, *measured),
        losses=(*observations.losses, *losses),
    )
