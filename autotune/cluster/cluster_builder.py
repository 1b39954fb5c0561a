"""A builder whose candidates are compiled by a crew."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from autotune.builders.artifact import Artifact
from autotune.builders.builder import MOST
from autotune.builders.compile_order import CompileOrders
from autotune.cluster.assignments import Order
from autotune.cluster.coordinator import Batch, Coordinator, Judgement
from autotune.cluster.crew import Member
from autotune.cluster.parcel import CompileReport, CompileRequest
from autotune.workers.closeable import Closeable
from autotune.workers.room import scratch_folder
from search_spaces.config import Config
from search_spaces.space import Candidate
from tuning_logs.records.measurement import Failure, FailureKind

_TIMEOUT_SECS = 20.0
# Beyond the compiler's own limit a worker is taken to hang; a process may have to start and import first.
_GRACE_SECS = 60.0


class ClusterBuilder(Closeable):
    """Compiles by a crew, each candidate on the worker that is free first.

    coordinator: closed with the builder; turns: entered while anything is compiled, and what is left then is stopped
    outside them. Artifacts live in a scratch directory of this machine until they are discarded, and no longer than the
    builder.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        linker: str = "cc",
        timeout_secs: float = _TIMEOUT_SECS,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self.coordinator = coordinator
        self._orders = CompileOrders(linker)
        self._timeout_secs = timeout_secs
        self._turns = turns or nullcontext()
        self._numbers = itertools.count()
        self._left: dict[tuple[str, Config], _Compilation] = {}
        self._scratch = scratch_folder("autotune-build-")

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """Compiles the candidates; one that does not compile is a Failure. Raises AutotuneError where no worker is
        left for two minutes."""
        return [built for built in self._build(candidates, 1.0) if built is not None]

    def build_most(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure | None]:
        """As `build`, but None for up to a quarter of them, for which other workers would stand idle.

        Where machines compile and measure in turns, these are stopped until the next call; elsewhere they go on.
        """
        return self._build(candidates, MOST)

    @property
    def notices(self) -> list[str]:
        """A sentence of each worker that is not at work, and why."""
        return self.coordinator.roster.notices

    def close(self) -> None:
        """Closes the crew and deletes the artifacts."""
        self.coordinator.close()
        self._scratch.cleanup()

    def request(self, candidate: Candidate) -> CompileRequest:
        """The request for a candidate."""
        return CompileRequest(self._orders.order(candidate), self._timeout_secs)

    def unpack(self, candidate: Candidate, report: CompileReport) -> Artifact | Failure:
        """The artifact of a report, its library written, or the failure."""
        if isinstance(report.compiled, Failure):
            return report.compiled
        library = Path(self._scratch.name, f"{next(self._numbers)}.so")
        if report.library:
            library.write_bytes(report.library)
        return self._orders.artifact(candidate, library, report.compiled, report.secs)

    def _build(self, candidates: Sequence[Candidate], share: float) -> list[Artifact | Failure | None]:
        with self._turns:
            under_way = self._begin(candidates)
            batches = list(dict.fromkeys(one.batch for one in under_way))
            enough = math.ceil(share * len(under_way))
            try:
                self.coordinator.carry_on(batches, lambda: sum(one.is_done for one in under_way) >= enough)
            except BaseException:
                self._abandon(batches)
                raise
        self._abandon([batch for batch in batches if batch.orders.is_done])
        for candidate, one in zip(candidates, under_way, strict=True):
            if not one.is_done:
                self._left[_key(candidate)] = one
        return [one.batch.results.get(one.place) for one in under_way]

    def _begin(self, candidates: Sequence[Candidate]) -> list[_Compilation]:
        """The compilations of candidates: those that were left, and new ones in one batch."""
        new = {place for place, one in enumerate(candidates) if _key(one) not in self._left}
        orders = [Order((place,), (self._timeout_secs,), _GRACE_SECS) for place in sorted(new)]
        batch = self.coordinator.begin(orders, _Compiling(self, candidates))
        return [
            _Compilation(batch, place) if place in new else self._left.pop(_key(candidate))
            for place, candidate in enumerate(candidates)
        ]

    def _abandon(self, batches: Sequence[Batch[Artifact | Failure]]) -> None:
        for batch in batches:
            self.coordinator.abandon(batch)


class _Compilation(NamedTuple):
    batch: Batch[Artifact | Failure]
    place: int

    @property
    def is_done(self) -> bool:
        return self.place in self.batch.results


def _key(candidate: Candidate) -> tuple[str, Config]:
    return candidate.task.key, candidate.config


@dataclass(frozen=True)
class _Compiling:
    """See `autotune.cluster.coordinator.Work`."""

    builder: ClusterBuilder
    candidates: Sequence[Candidate]

    def order(self, _member: Member, places: Sequence[int]) -> CompileRequest:
        [place] = places
        return self.builder.request(self.candidates[place])

    def judge(
        self, member: str, places: Sequence[int], value: object, _secs: float
    ) -> Judgement[Artifact | Failure]:
        roster, [place] = self.builder.coordinator.roster, places
        if not isinstance(value, CompileReport):
            reason = f"expected a compiled candidate, found {type(value).__name__}"
            roster.note_lie(member, reason)
            return Judgement(disbelieved=(place,), reason=reason)
        roster.note_truth(member)
        return Judgement({place: self.builder.unpack(self.candidates[place], value)})

    def give_up(self, _place: int, reason: str) -> Failure:
        # As where a device is lost: it tells nothing of the candidate, which is tried again later.
        return Failure(FailureKind.DEVICE_LOST, f"the workers that compiled it were lost: {reason}"[-2000:])
