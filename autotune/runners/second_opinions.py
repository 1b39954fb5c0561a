"""Second opinions on results that a broken board may have made up: wrong outputs and implausible times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from autotune.devices.rpc_tracker import Address
from tuning_logs.records.measurement import Failure, FailureKind, Measurement

# Failures of a board that others confirmed before it is believed, and how many of the later ones are checked.
_CONFIRMED = 3
_EVERY = 4
# So many results that others contradict are no accident.
_CONTRADICTED = 2


@dataclass
class SecondOpinions:
    """Counts, for each board, of its failures that other boards confirmed or contradicted."""

    _failures: Counter[Address] = field(default_factory=Counter)
    _confirmed: Counter[Address] = field(default_factory=Counter)
    _contradicted: Counter[Address] = field(default_factory=Counter)

    def is_due(self, address: Address, measurement: Measurement) -> bool:
        """Whether another board should try what gave this measurement: the first ones, and one in four later."""
        if not is_doubtful(measurement):
            return False
        self._failures[address] += 1
        believed = self._confirmed[address] >= _CONFIRMED and not self._contradicted[address]
        return not believed or self._failures[address] % _EVERY == 0

    def record(self, address: Address, doubted: Measurement, other: Measurement) -> None:
        """Takes in another board's measurement of what had failed on the board at an address; where it failed there
        in another way, nobody is right."""
        if not isinstance(other, Failure):
            self._contradicted[address] += 1
        elif isinstance(doubted, Failure) and (other.kind, is_doubtful(other)) == (doubted.kind, True):
            self._confirmed[address] += 1

    @property
    def liars(self) -> Mapping[Address, int]:
        """The boards that others contradicted twice or more, and how often."""
        return {one: count for one, count in self._contradicted.items() if count >= _CONTRADICTED}


def is_doubtful(measurement: Measurement) -> bool:
    """Whether a measurement is a failure that a sound board may not confirm."""
    if not isinstance(measurement, Failure):
        return False
    return measurement.kind is FailureKind.WRONG_RESULT or measurement.message.startswith("implausible")
