"""Optuna's own tests of samplers, applied to the sampler that a cost model guides."""

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from autotune.search.cost_model_sampler import CostModelSampler
from autotune.search.proposer import ConfigProposer


class TestCostModelSampler(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        # A short start, so that the model is asked within the few trials that these tests run.
        return lambda: CostModelSampler(seed=0, proposer=ConfigProposer(start=3, draft=100))
