"""The card of a device: its description, for where the device itself is out of reach."""

from __future__ import annotations

from pathlib import Path

import msgspec

from autotune.devices.device import Device
from search_spaces.errors import Misuse
from search_spaces.target import Target
from search_spaces.text_file import read_text
from tuning_logs.records.device_fingerprint import DeviceFingerprint


class DeviceCard(msgspec.Struct, frozen=True):
    """The description of a device, as `autotune devices --json` prints it; other members are left alone."""

    target: str
    connection: str
    facts: dict[str, str | int | float | bool | None]

    def device(self) -> Device:
        """The device that is described, which need not be reachable."""
        name = str(self.facts.get("cpu_model", self.connection))
        return Device(name, Target.parse(self.target), self.connection, DeviceFingerprint(name, self.facts))


def read_device_card(path: Path) -> Device:
    """Reads the description of a device that need not be reachable.

    Raises Misuse where the file is not what `autotune devices --json` prints.
    """
    try:
        found = msgspec.json.decode(read_text(path), type=DeviceCard | tuple[DeviceCard, ...])
        return (found if isinstance(found, DeviceCard) else found[0]).device()
    except (OSError, ValueError, IndexError, RecursionError, msgspec.MsgspecError) as error:
        raise Misuse(
            f"expected what `autotune devices --json` prints in {path}, found: {type(error).__name__}: {error}",
            code="AT401",
        ) from error
