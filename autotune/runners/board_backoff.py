"""Boards that were lost are left alone for a while, longer each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.devices.rpc_tracker import Address

_FIRST_SECS = 2.0
_LONGEST_SECS = 300.0


@dataclass
class BoardBackoff:
    """Which boards are not to be used now; the pause doubles from 2 s to 5 minutes, and success ends it."""

    clock: Callable[[], float] = time.monotonic
    _losses: dict[Address, int] = field(default_factory=dict)
    _until: dict[Address, float] = field(default_factory=dict)

    @property
    def closed(self) -> frozenset[Address]:
        """The boards to avoid."""
        return frozenset(address for address, until in self._until.items() if self.clock() < until)

    def record_failure(self, address: Address) -> None:
        """The board was lost, once more."""
        losses = self._losses[address] = self._losses.get(address, 0) + 1
        self._until[address] = self.clock() + min(_FIRST_SECS * 2 ** (losses - 1), _LONGEST_SECS)

    def record_success(self, address: Address) -> None:
        """The board did what it was asked to."""
        self._losses.pop(address, None)
        self._until.pop(address, None)
