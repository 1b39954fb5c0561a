"""The interface of builders, which compile candidates for the target of their task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from autotune.builders.artifact import Artifact
from search_spaces.space import Candidate
from tuning_logs.records.measurement import Failure

#: The share of the candidates that `HurriedBuilder.build_most` waits for; the rest may be left where cores would stand
#: idle for it.
MOST: Final = 0.75


class Builder(Protocol):
    """Compiles candidates into artifacts."""

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """One artifact or failure for each candidate, in their order; `discard` deletes the artifacts' libraries."""
        ...

    def close(self) -> None:
        """Ends processes and deletes files."""
        ...


@runtime_checkable
class HurriedBuilder(Builder, Protocol):
    """A builder that can return before the slowest candidates are compiled."""

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        """As `build`, but None for the slowest candidates, which are compiled on in the next call: pass them again."""
        ...


def build_most(builder: Builder, candidates: Sequence[Candidate]) -> Sequence[Artifact | Failure | None]:
    """The builder's `build_most` where it has one, else `build`."""
    return (
        builder.build_most(candidates) if isinstance(builder, HurriedBuilder) else builder.build(candidates)
    )
