"""The results of a trial on a board, as the worker process that talks to it returns them."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.devices.rpc_tracker import Address
from autotune.workers.reply import Died, OverMemory
from tuning_logs.records.measurement import Check, Measurement

#: In the message of a trial whose library the board could not store.
NO_ROOM = "no room on the board"


@dataclass(frozen=True, slots=True)
class Tried:
    """The trial took place on the board at an address.

    reference_secs: of a call of the reference kernel there after it, None where it was not timed.
    """

    address: Address
    measurement: Measurement
    check: Check | None
    reference_secs: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The trial ended its session on the board at an address."""

    address: Address
    fault: Died | OverMemory


@dataclass(frozen=True, slots=True)
class Lost:
    """The board at an address was lost; None where no board was free in time."""

    address: Address | None
    message: str
