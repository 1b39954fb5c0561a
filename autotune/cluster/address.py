"""Addresses of workers, as a job file and the command line name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from search_spaces.errors import Misuse

#: The processes of this machine.
LOCAL: Final = "local"
_HERE = "ray"
_THERE = re.compile(r"ray://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class WorkersAddress:
    """The address of what compiles and measures; text: as it was given."""

    text: str = LOCAL

    @property
    def is_local(self) -> bool:
        """Whether the processes of this machine do it, as by default."""
        return self.text == LOCAL

    @property
    def is_private(self) -> bool:
        """Whether it is a Ray cluster of this machine that starts and ends with the job."""
        return self.text == _HERE


#: By default.
HERE: Final = WorkersAddress()


def parse_workers(text: str) -> WorkersAddress:
    """The address of a text. Raises Misuse for anything but `local`, `ray` and `ray://host:port`."""
    found = _THERE.fullmatch(text)
    if text in (LOCAL, _HERE) or (found is not None and 0 < int(found[1]) < 1 << 16):
        return WorkersAddress(text)
    raise Misuse(
        f"expected workers as in 'local', 'ray' (a Ray cluster of this machine) or 'ray://host:10001', found {text!r}",
        code="AT750",
    )
