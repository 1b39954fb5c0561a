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
class Rpc:
    """The boards under a key at an RPC tracker."""

    tracker: Address
    key: str

    def __str__(self) -> str:
        return f"rpc://{self.tracker}/{self.key}"


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


Connection = Local | Cuda | Rpc | Clustered


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
    if parts.scheme == "rpc":
        return Rpc(parse_address(parts.netloc), parts.path.removeprefix("/"))
    # Where a number alone follows the colon, urlsplit finds no scheme.
    scheme, _, number = (f"{parts.scheme}:{parts.path}" if parts.scheme else parts.path).partition(":")
    if scheme != "cuda":
        return Local()
    if not re.fullmatch("[0-9]{1,4}", number):
        raise Misuse(f"expected the number of a GPU, as in 'cuda:0', found {url!r}", code="AT401")
    return Cuda(int(number))


def _parse_clustered(url: str) -> Clustered:
    found = re.fullmatch(r"ray:([A-Za-z0-9][A-Za-z0-9_.-]*)(?:\?((?:threads|target)=[^&#]+))?", url)
    if found is None:
        raise Misuse(
            "expected a device of a cluster as in 'ray:pi4', 'ray:epyc?threads=4' or "
            f"'ray:a100?target=nvidia/nvidia-a100', found {url!r}",
            code="AT401",
        )
    return Clustered(found[1], found[2] or "")
