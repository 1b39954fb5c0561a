"""The fakes obey the laws of builders and runners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from autotune.builders.artifact import Artifact
from autotune.builders.builder import Builder
from autotune.runners.runner import Runner
from autotune.runners.steady_runner import SteadyRunner
from autotune.testing.builder_laws import BuilderLaws
from autotune.testing.noisy_runner import NoisyRunner
from autotune.testing.replay_runner import ReplayRunner
from autotune.testing.runner_laws import RunnerLaws
from autotune.testing.toy_machine import ToyMachine
from search_spaces import Candidate, IllegalSchedule, SearchSpace, ToySpace
from search_spaces.tabular_space import TabularSpace
from tuning_logs import Timing


def three_of(space: SearchSpace) -> list[Candidate]:
    """The default and two random configs that build and run."""
    rng = np.random.default_rng(0)
    found = [space.apply(space.default)]
    while len(found) < 3:
        try:
            candidate = space.apply(lambda decision: int(rng.integers(len(decision.choices))))
        except IllegalSchedule:
            continue
        if isinstance(space, TabularSpace) and not space.table[candidate.config].ran:
            continue
        if candidate.config not in [one.config for one in found]:
            found.append(candidate)
    return found


@pytest.fixture(params=["toy", "replay"])
def space(request: pytest.FixtureRequest, recorded_space: TabularSpace) -> SearchSpace:
    return ToySpace(64) if request.param == "toy" else recorded_space


@pytest.fixture
def machine(space: SearchSpace) -> ToyMachine | ReplayRunner:
    return ReplayRunner(space) if isinstance(space, TabularSpace) else ToyMachine()


@pytest.fixture
def candidates(space: SearchSpace) -> list[Candidate]:
    return three_of(space)


class TestBuilders(BuilderLaws):
    @pytest.fixture
    def builder(self, machine: ToyMachine | ReplayRunner) -> Builder:
        return machine


class TestRunners(RunnerLaws):
    @pytest.fixture(params=["exact", "noisy", "steady"])
    def runner(self, request: pytest.FixtureRequest, machine: ToyMachine | ReplayRunner) -> Runner:
        match request.param:
            case "noisy":
                return NoisyRunner(machine, 0.2)
            case "steady":
                return SteadyRunner(machine)
            case _:
                return machine

    @pytest.fixture
    def artifacts(
        self, machine: ToyMachine | ReplayRunner, candidates: list[Candidate]
    ) -> Sequence[Artifact]:
        return [one for one in machine.build(candidates) if isinstance(one, Artifact)]


def test_noise_is_as_large_as_asked_for_and_the_same_for_a_seed() -> None:
    machine = ToyMachine()
    artifacts = [
        one for one in machine.build([ToySpace().apply(ToySpace().default)]) if isinstance(one, Artifact)
    ]

    def logarithms(seed: int) -> list[float]:
        outcomes = NoisyRunner(machine, 0.2, seed).run(artifacts * 1000)
        exact = machine.run(artifacts)[0].measurement
        assert isinstance(exact, Timing)
        return [
            float(np.log(one.measurement.secs / exact.secs))
            for one in outcomes
            if isinstance(one.measurement, Timing)
        ]

    assert np.std(logarithms(0)) == pytest.approx(0.2, rel=0.1)
    assert logarithms(0) == logarithms(0)
    assert logarithms(0) != logarithms(1)
