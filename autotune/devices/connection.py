"""Ways to reach a device, as its URL names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from autotune.devices.rpc_tracker import Address, parse_address
from search_spaces.errors import Misuse


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
    """The boards under a key at an RPC tracker."""

    tracker: Address
    key: str

    def __str__(self) -> str:
        return f"rpc://{self.tracker}/{self.key}"


Connection = Local | Cuda | OpenCl | Rpc

_NUMBERED: dict[str, type[Cuda | OpenCl]] = {"cuda": Cuda, "opencl": OpenCl}


def split_url(url: str) -> SplitResult:
    """The parts of a device's URL. Raises Misuse where brackets hold no address."""
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Misuse(f"expected a device such as 'local', found {url!r}: {error}", code="AT401") from error


def parse_connection(url: str) -> Connection:
    """The connection that a device's URL names, whatever its options; everything without one is local.

    Raises Misuse where a tracker's address or a GPU's number is none.
    """
    parts = split_url(url)
    if parts.scheme == "rpc":
        return Rpc(parse_address(parts.netloc), parts.path.removeprefix("/"))
    # Where a number alone follows the colon, urlsplit finds no scheme.
    scheme, _, number = (f"{parts.scheme}:{parts.path}" if parts.scheme else parts.path).partition(":")
    if scheme not in _NUMBERED:
        return Local()
    if not re.fullmatch("[0-9]{1,4}", number):
        raise Misuse(f"expected the number of a device, as in '{scheme}:0', found {url!r}", code="AT401")
    return _NUMBERED[scheme](int(number))
