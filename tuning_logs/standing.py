"""How the configs of one task, target and device stand against each other, record by record."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from search_spaces.config import Config
from tuning_logs.measurement import Failure, FailureKind, Timing
from tuning_logs.record import TuningRecord

#: A space version and a config: the same answers to the questions of another version may be another program.
Program = tuple[str, Config]


@dataclass(frozen=True, slots=True)
class Contender:
    """One config with all that was measured of it: its uncensored records' repeats are one measurement.

    censored contenders have no uncensored record yet, and rank behind all that have one.
    """

    record: TuningRecord
    secs: float
    censored: bool

    @property
    def rank(self) -> tuple[bool, float]:
        """Sorts contenders, best first."""
        return (self.censored, self.secs)


class Standing:
    """The contenders for the best record. A config that ever gave a wrong result is out for good."""

    def __init__(self) -> None:
        self._contenders: dict[Program, Contender] = {}
        self._wrong: set[Program] = set()
        self._best: Program | None = None

    @property
    def best(self) -> Contender | None:
        """The fastest contender, None where no config ran."""
        return None if self._best is None else self._contenders[self._best]

    def add(self, record: TuningRecord) -> None:
        """Takes one more record into account."""
        program = (record.space_version, record.config)
        measurement = record.measurement
        if isinstance(measurement, Failure):
            if measurement.kind is FailureKind.WRONG_RESULT:
                self._wrong.add(program)
                self._contenders.pop(program, None)
                if program == self._best:
                    self._best = self._fastest()
        elif program not in self._wrong:
            self._contend(program, record, measurement)

    def _contend(self, program: Program, record: TuningRecord, timing: Timing) -> None:
        known = self._contenders.get(program)
        if known is None or known.censored > timing.censored:
            self._contenders[program] = Contender(record, timing.secs, timing.censored)
        elif known.censored == timing.censored:
            self._contenders[program] = _pooled(known, record, timing)
        if self._best is None or self._contenders[program].rank < self._contenders[self._best].rank:
            self._best = program
        elif program == self._best:
            self._best = self._fastest()

    def _fastest(self) -> Program | None:
        return min(self._contenders, key=lambda program: self._contenders[program].rank, default=None)


def _pooled(known: Contender, record: TuningRecord, timing: Timing) -> Contender:
    """The later record, with the repeats of all of them."""
    before = known.record.measurement
    assert isinstance(before, Timing)
    run_secs = before.run_secs + timing.run_secs
    pooled = replace(record, measurement=replace(timing, run_secs=run_secs))
    return Contender(pooled, statistics.median(run_secs), timing.censored)
