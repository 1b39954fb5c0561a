"""Ways to reach a device, as its URL names them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from autotune.devices.rpc_tracker import Address, parse_address
from autotune.transport.route import DIRECT, Route, check_ssh_destination
from search_spaces.errors import Misuse

#: Schemes of URLs of boards: plain, behind TLS, through ssh.
BOARD_SCHEMES: Final = ("rpc", "rpcs", "ssh")
# Where a tracker listens on a machine that is reached through ssh.
_TRACKER = "127.0.0.1:9190"


@dataclass(frozen=True, slots=True)
class Local:
    """The CPU of this machine."""


@dataclass(frozen=True, slots=True)
class Cuda:
    """A GPU of this machine; index: as the driver counts."""

    index: int

    def __str__(self) -> str:
        return f"cuda:{self.index}"


@dataclass(frozen=True, slots=True)
class OpenCl:
    """An OpenCL device of this machine; index: among the devices of all platforms, in the order of OpenCL's loader."""

    index: int

    def __str__(self) -> str:
        return f"opencl:{self.index}"


@dataclass(frozen=True, slots=True)
class Rpc:
    """The boards under a key at an RPC tracker, and the route to both."""

    tracker: Address
    key: str
    route: Route = DIRECT

    def __str__(self) -> str:
        identity = f"identity={quote(str(self.route.identity))}" if self.route.identity else ""
        if self.route.ssh is None:
            scheme = "rpcs" if identity else "rpc"
            return f"{scheme}://{self.tracker}/{self.key}" + (f"?{identity}" if identity else "")
        options = [f"tracker={self.tracker}", *([identity] if identity else [])]
        return f"ssh://{self.route.ssh}/{self.key}?{'&'.join(options)}"


@dataclass(frozen=True, slots=True)
class Clustered:
    """A device of a cluster's nodes.

    name: of the resource `device:NAME` that they have; options: of the URL, as in `threads=4` for a processor or
    `target=nvidia/nvidia-a100` for the first GPU of the node.
    """

    name: str
    options: str = ""

    def __str__(self) -> str:
        return f"ray:{self.name}?{self.options}" if self.options else f"ray:{self.name}"

    @property
    def there(self) -> str:
        """The device's URL on the node that has it."""
        if self.options.startswith("target="):
            return f"cuda:0?{self.options}"
        return f"local?{self.options}" if self.options else "local"


Connection = Local | Cuda | OpenCl | Rpc | Clustered

_NUMBERED: dict[str, type[Cuda | OpenCl]] = {"cuda": Cuda, "opencl": OpenCl}


def split_url(url: str) -> SplitResult:
    """The parts of a device's URL. Raises Misuse where brackets hold no address."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Misuse(f"expected a device such as 'local', found {url!r}: {error}", code="AT401") from error


def parse_connection(url: str) -> Connection:
    """The connection that a device's URL names, whatever its options; everything without one is local.

    Raises Misuse where a tracker's address, a GPU's number or the name of a cluster's device is none.
    """
    parts = split_url(url)
    if url.startswith("ray:"):
        return _parse_clustered(url)
    if parts.scheme in BOARD_SCHEMES:
        return _parse_boards(url, parts)
    # Where a number alone follows the colon, urlsplit finds no scheme.
    scheme, _, number = (f"{parts.scheme}:{parts.path}" if parts.scheme else parts.path).partition(":")
    if scheme not in _NUMBERED:
        return Local()
    if not re.fullmatch("[0-9]{1,4}", number):
        raise Misuse(f"expected the number of a device, as in '{scheme}:0', found {url!r}", code="AT401")
    return _NUMBERED[scheme](int(number))


def distinct_name(name: str, connection: str) -> str:
    """The name of a device among others: its own, and of local ones the URL, as those differ in its options alone."""
    return connection if name == "local" else name


def _parse_boards(url: str, parts: SplitResult) -> Rpc:
    options = parse_qs(parts.query, keep_blank_values=True)
    identity = options["identity"][-1] if "identity" in options else ""
    key = parts.path.removeprefix("/")
    if (parts.scheme == "rpcs") != bool(identity) and parts.scheme != "ssh":
        raise Misuse(
            "expected boards behind TLS with one's own identity, as in 'rpcs://10.0.0.5:9190/pi4?identity=keys/me', or "
            f"boards without both, as in 'rpc://127.0.0.1:9190/pi4'; found {url!r}",
            code="AT401",
        )
    route = Route(Path(identity) if identity else None)
    if parts.scheme != "ssh":
        return Rpc(parse_address(parts.netloc), key, route)
    tracker = options["tracker"][-1] if "tracker" in options else _TRACKER
    return Rpc(parse_address(tracker), key, replace(route, ssh=check_ssh_destination(parts.netloc)))


def _parse_clustered(url: str) -> Clustered:
    found = re.fullmatch(r"ray:([A-Za-z0-9][A-Za-z0-9_.-]*)(?:\?((?:threads|target)=[^&#]+))?", url)
    if found is None:
        raise Misuse(
            "expected a device of a cluster as in 'ray:pi4', 'ray:epyc?threads=4' or "
            f"'ray:a100?target=nvidia/nvidia-a100', found {url!r}",
            code="AT401",
        )
    return Clustered(found[1], found[2] or "")
