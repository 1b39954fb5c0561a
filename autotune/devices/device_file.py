"""Named devices in a TOML file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from autotune.devices.connection import BOARD_SCHEMES, Rpc, parse_connection
from autotune.devices.device import Device, local_device, remote_device
from autotune.devices.device_url import parse_device
from autotune.devices.toml_file import Section, read_section
from search_spaces.errors import Misuse
from search_spaces.target import Target


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """A device of the file, before it is connected to; see `read_devices` for the fields."""

    name: str
    connection: str
    target: Target | None = None
    linker: str | None = None
    threads: int | None = None
    price_per_hour: float | None = None

    def reach(self, find: Callable[[str], Device] = parse_device) -> Device:
        """Connects to the device; find: finds that of a URL. Raises AutotuneError where it cannot be reached."""
        if self.connection == "local":
            found = local_device(self.threads)
        elif self.target is None:
            found = find(self.connection)
        else:
            via = parse_connection(self.connection)
            assert isinstance(via, Rpc)
            target = self.target if self.threads is None else self.target.with_attr("num-cores", self.threads)
            found = remote_device(via, target, self.linker)
        return replace(found, name=self.name, price_per_hour=self.price_per_hour)


def read_devices(path: Path) -> list[DeviceDescription]:
    """The devices of a file, each a table [[device]] with name and connection, and for boards their target:

        [[device]]
        name = "pi4"
        connection = "rpc://192.168.1.5:9190/pi4"
        target = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
        linker = "aarch64-linux-gnu-gcc"
        threads = 4
        price_per_hour = 0.02

    Boards behind TLS (rpcs://…) have identity = "keys/me" as well, a path from the file's folder.

    Raises Misuse with the line of each mistake.
    """
    top = read_section(path)
    found = [_describe(section, path.parent) for section in top.sections("device")]
    top.reject_unknown_keys()
    names = [one.name for one in found]
    for number, name in enumerate(names):
        if name in names[:number]:
            top.complaints.add(("device", number, "name"), f"a second device is called {name!r}")
    top.complaints.raise_if_any()
    if not found:
        raise Misuse(f"expected at least one [[device]] in {path}, found none", code="AT403")
    return found


def find_device(name: str, path: Path | None, find: Callable[[str], Device] = parse_device) -> Device:
    """The device of a name in the file; without a file, the name is a device's URL. find: finds that of a URL."""
    if path is None:
        return find(name)
    described = {one.name: one for one in read_devices(path)}
    if name not in described:
        raise Misuse(
            f"expected one of the devices of {path}: {', '.join(described)}; found {name!r}", code="AT403"
        )
    return described[name].reach(find)


def _describe(section: Section, folder: Path) -> DeviceDescription:
    name, connection = section.get("name", str, ""), _connection(section, folder)
    target, linker = section.get("target", str, ""), section.get("linker", str, "")
    threads = section.positive("threads", int)
    price = section.get("price_per_hour", float, 0.0)
    for key, value in (("name", name), ("connection", connection)):
        if not value:
            section.error(None if key not in section.values else key, f"a device has a {key}")
    is_board = connection.partition("://")[0] in BOARD_SCHEMES
    if is_board and not target and "target=" not in connection:
        section.error("connection", 'a board has a target, as in target = "llvm -mtriple=aarch64-linux-gnu"')
    if not is_board and (target or linker):
        section.error(
            "target" if target else "linker",
            "only boards (rpc://…, rpcs://…, ssh://…) have a target and a linker",
        )
    if not 0 <= price < math.inf:
        section.error("price_per_hour", f"price_per_hour is finite and not negative; found {price}")
    parsed = None
    if target:
        try:
            parsed = Target.parse(target)
        except Misuse as error:
            section.error("target", str(error))
    section.reject_unknown_keys()
    return DeviceDescription(
        name,
        connection,
        parsed,
        linker or None,
        threads,
        price if "price_per_hour" in section.values else None,
    )


def _connection(section: Section, folder: Path) -> str:
    """The connection, with the identity that has a line of its own."""
    connection, identity = section.get("connection", str, ""), section.get("identity", str, "")
    if not identity:
        return connection
    if connection.partition("://")[0] not in ("rpcs", "ssh") or "identity=" in connection:
        section.error(
            "identity", "boards behind TLS (rpcs://…, ssh://…) have one identity; found another device or two"
        )
    return f"{connection}{'&' if '?' in connection else '?'}identity={quote(str(folder / identity))}"
