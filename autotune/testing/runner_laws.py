"""Conformance suite of runners."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.builders.artifact import Artifact
from autotune.runners.runner import Runner
from tuning_logs import Timing


class RunnerLaws:
    """Tests that every `Runner` passes. Derive a test class that has two fixtures:

    runner:    a Runner; the suite closes it.
    artifacts: for each test new ones, two or more of one task that run and compute what the default config computes,
               which is the first.
    """

    def test_every_artifact_has_its_timing_in_order(
        self, runner: Runner, artifacts: Sequence[Artifact]
    ) -> None:
        outcomes = runner.run(artifacts)
        runner.close()
        assert len(outcomes) == len(artifacts)
        for artifact, outcome in zip(artifacts, outcomes, strict=True):
            timing = outcome.measurement
            assert isinstance(timing, Timing), timing
            assert timing.run_secs
            assert min(timing.run_secs) > 0
            assert timing.build_secs == artifact.build_secs

    def test_the_default_config_is_remembered_from_one_run_to_the_next(
        self, runner: Runner, artifacts: Sequence[Artifact]
    ) -> None:
        [first] = runner.run(artifacts[:1])
        rest = runner.run(artifacts[1:])
        runner.close()
        assert all(isinstance(one.measurement, Timing) for one in [first, *rest])

    def test_what_is_far_behind_the_best_has_a_timing_all_the_same(
        self, runner: Runner, artifacts: Sequence[Artifact]
    ) -> None:
        outcomes = runner.run(artifacts, best_secs=1e-9)
        runner.close()
        assert all(isinstance(one.measurement, Timing) for one in outcomes)

    def test_no_artifacts_give_no_outcomes(self, runner: Runner) -> None:
        assert runner.run([]) == []
        runner.close()

    def test_closing_may_be_repeated(self, runner: Runner) -> None:
        runner.close()
        runner.close()
