"""Conformance suite of builders."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.builders.artifact import Artifact
from autotune.builders.builder import Builder
from search_spaces.space import Candidate


class BuilderLaws:
    """Tests that every `Builder` passes. Derive a test class that has two fixtures:

    builder:    a Builder; the suite closes it.
    candidates: two or more of one task that can be built, the default config first.
    """

    def test_every_candidate_has_its_artifact_in_order(
        self, builder: Builder, candidates: Sequence[Candidate]
    ) -> None:
        built = builder.build(candidates)
        builder.close()
        assert len(built) == len(candidates)
        for candidate, artifact in zip(candidates, built, strict=True):
            assert isinstance(artifact, Artifact), artifact
            assert (artifact.task, artifact.config) == (candidate.task, candidate.config)
            assert artifact.build_secs >= 0

    def test_only_the_default_config_is_a_reference(
        self, builder: Builder, candidates: Sequence[Candidate]
    ) -> None:
        built = builder.build(candidates)
        builder.close()
        references = [isinstance(one, Artifact) and one.is_reference for one in built]
        assert references == [True] + [False] * (len(candidates) - 1)

    def test_a_candidate_is_built_as_often_as_asked_for(
        self, builder: Builder, candidates: Sequence[Candidate]
    ) -> None:
        twice = [*builder.build(candidates[:1]), *builder.build(candidates[:1])]
        builder.close()
        assert [isinstance(one, Artifact) and one.config for one in twice] == [candidates[0].config] * 2

    def test_no_candidates_give_no_artifacts(self, builder: Builder) -> None:
        assert list(builder.build([])) == []
        builder.close()

    def test_closing_may_be_repeated(self, builder: Builder) -> None:
        builder.close()
        builder.close()
