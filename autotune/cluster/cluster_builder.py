"""A builder whose candidates are compiled by a crew."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from autotune.builders.artifact import Artifact
from autotune.builders.compile_order import CompileOrders
from autotune.cluster.assignments import Order
from autotune.cluster.coordinator import Coordinator, Judgement
from autotune.cluster.crew import Member
from autotune.cluster.parcel import CompileReport, CompileRequest
from autotune.workers.closeable import Closeable
from autotune.workers.room import scratch_folder
from search_spaces.space import Candidate
from tuning_logs.records.measurement import Failure, FailureKind

_TIMEOUT_SECS = 20.0
# Beyond the compiler's own limit a worker is taken to hang; a process may have to start and import first.
_GRACE_SECS = 60.0


class ClusterBuilder(Closeable):
    """Compiles by a crew, each candidate on the worker that is free first.

    coordinator: closed with the builder; turns: held while anything is compiled. Artifacts live in a scratch directory
    of this machine until they are discarded, and no longer than the builder.
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
        self._scratch = scratch_folder("autotune-build-")

    def build(self, candidates: Sequence[Candidate]) -> list[Artifact | Failure]:
        """Compiles the candidates; one that does not compile is a Failure. Raises AutotuneError where no worker is
        left for two minutes."""
        orders = [Order((place,), (self._timeout_secs,), _GRACE_SECS) for place in range(len(candidates))]
        with self._turns:
            found = self.coordinator.carry_out(orders, _Compiling(self, candidates))
        return [found[place] for place in range(len(candidates))]

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
