"""Recorded measurements come back as they were, and are charged."""

import pytest

from autotune.testing.replay_runner import ReplayRunner
from search_spaces.tabular_space import TabularSpace
from tuning_logs import Failure, FailureKind, Timing


def test_what_was_recorded_comes_back_and_is_charged(recorded_space: TabularSpace) -> None:
    replay = ReplayRunner(recorded_space)
    candidates = [recorded_space.apply(config) for config in recorded_space.table]
    built = replay.build(candidates)
    charged = sum(outcome.cost_secs for outcome in recorded_space.table.values())
    assert replay.clock() == replay.charged_secs == pytest.approx(charged)
    artifacts = [artifact for artifact in built if not isinstance(artifact, Failure)]
    measured = {
        artifact.config: outcome.measurement
        for artifact, outcome in zip(artifacts, replay.run(artifacts), strict=True)
    }
    for candidate, one in zip(candidates, built, strict=True):
        recorded = recorded_space.table[candidate.config]
        if recorded.status == "CompilationFailedConfig":
            assert isinstance(one, Failure)
            assert one.kind is FailureKind.BUILD_ERROR
        elif recorded.ran:
            assert measured[candidate.config] == Timing((recorded.secs,), recorded.cost_secs)
        else:
            found = measured[candidate.config]
            assert isinstance(found, Failure)
            assert found.kind is FailureKind.RUN_ERROR
    assert len(artifacts) < len(candidates)


def test_only_the_default_config_is_a_reference(recorded_space: TabularSpace) -> None:
    built = ReplayRunner(recorded_space).build(
        [recorded_space.apply(config) for config in recorded_space.table]
    )
    references = [one.config for one in built if not isinstance(one, Failure) and one.is_reference]
    assert references == [recorded_space.default]
