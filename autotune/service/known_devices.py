"""The devices that jobs of a service can name: this machine, and those of its devices.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from autotune.machine.allowance import read_allowance
from autotune.service.documents import DeviceDocument
from search_spaces.errors import Misuse
from tuning_logs.atomic_file import atomically

_HERE: Final = re.compile(r"local(?:\?threads=([0-9]{1,4}))?")


@dataclass(frozen=True)
class KnownDevice:
    """A device, and the facts of its fingerprint; None where it does not answer."""

    document: DeviceDocument
    facts: dict[str, str | int | float | bool | None] | None


def read_known(path: Path) -> tuple[KnownDevice, ...]:
    """The devices that an earlier server found; none where there is no such file, or no readable one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[KnownDevice, ...])
    except (OSError, msgspec.MsgspecError, RecursionError):
        return ()


def write_known(path: Path, known: tuple[KnownDevice, ...]) -> None:
    """Keeps the devices for the next server."""
    with atomically(path) as scratch:
        scratch.write_bytes(msgspec.json.encode(known))


def check_device(name: str, known: tuple[KnownDevice, ...]) -> None:
    """Raises Misuse for a device that the service does not know: an order cannot make it connect elsewhere."""
    names = [one.document.name for one in known]
    if name in names:
        return
    here = _HERE.fullmatch(name)
    most = read_allowance().machine_processors
    if here and (here[1] is None or 1 <= int(here[1]) <= most):
        return
    raise Misuse(
        f"expected one of the service's devices: {', '.join(names)}, or local?threads=N with N up to {most}; found "
        f"{name[:80]!r}",
        code="AT403",
    )
