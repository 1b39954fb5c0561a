"""Backoff for boards that were lost: each is avoided for a while, longer each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.devices.rpc_tracker import Address
from autotune.workers.backoff import Backoff

_BACKOFF = Backoff(first_secs=2.0, longest_secs=300.0)


@dataclass
class BoardBackoff:
    """The boards to avoid now; the pause of each doubles from 2 s to 5 minutes, and success ends it."""

    clock: Callable[[], float] = time.monotonic
    _losses: dict[Address, int] = field(default_factory=dict)
    _until: dict[Address, float] = field(default_factory=dict)

    @property
    def closed(self) -> frozenset[Address]:
        """The boards to avoid now."""
        return frozenset(address for address, until in self._until.items() if self.clock() < until)

    def record_failure(self, address: Address) -> None:
        """Notes that the board was lost once more."""
        losses = self._losses[address] = self._losses.get(address, 0) + 1
        self._until[address] = self.clock() + _BACKOFF.pause_secs(losses)

    def record_success(self, address: Address) -> None:
        """Notes that the board answered."""
        self._losses.pop(address, None)
        self._until.pop(address, None)
