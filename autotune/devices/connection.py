"""Ways to reach a device."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.devices.rpc_tracker import Address


@dataclass(frozen=True, slots=True)
class Rpc:
    """The boards under a key at an RPC tracker."""

    tracker: Address
    key: str

    def __str__(self) -> str:
        return f"rpc://{self.tracker}/{self.key}"
