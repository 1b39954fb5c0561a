"""Compiling candidates, many at a time, in processes that a candidate may bring down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from autotune.builders.artifact import Artifact
from search_spaces.space import Candidate
from tuning_logs.records.measurement import Failure


class Builder(Protocol):
    """Compiles candidates for the target of their task."""

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """One artifact or failure for each candidate, in their order; `discard` deletes the artifacts' libraries."""
        ...

    def close(self) -> None:
        """Ends processes and deletes files."""
        ...


@runtime_checkable
class HurriedBuilder(Builder, Protocol):
    """A builder that need not wait for the slowest."""

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        """As `build`, but None for the slowest: they go on with the next call; pass them again to learn the outcome."""
        ...


def build_most(builder: Builder, candidates: Sequence[Candidate]) -> Sequence[Artifact | Failure | None]:
    """Most of the candidates by a builder in a hurry, or all of them by any other."""
    return (
        builder.build_most(candidates) if isinstance(builder, HurriedBuilder) else builder.build(candidates)
    )
