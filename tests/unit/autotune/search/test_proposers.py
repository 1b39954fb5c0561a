"""Both proposers on a toy space with illegal configs, and on a recorded one."""

from __future__ import annotations

import pytest

from autotune.search.proposer import ConfigProposer
from autotune.search.sample_proposer import SampleProposer
from autotune.testing.proposer_laws import ProposerLaws
from search_spaces import SearchSpace, ToySpace
from search_spaces.tabular_space import TabularSpace


class TestProposers(ProposerLaws):
    @pytest.fixture(params=[ConfigProposer(draft=200), SampleProposer(draft=200)], ids=["search", "sample"])
    def proposer(self, request: pytest.FixtureRequest) -> ConfigProposer:
        return request.param  # type: ignore[no-any-return]

    @pytest.fixture(params=["toy", "recorded"])
    def space(self, request: pytest.FixtureRequest, recorded_space: TabularSpace) -> SearchSpace:
        return ToySpace(256) if request.param == "toy" else recorded_space
