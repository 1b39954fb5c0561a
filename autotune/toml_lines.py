"""On which line of a TOML text a value stands, which the standard library's reader does not tell."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

Path = Sequence[str | int]


def line_of(text: str, path: Path) -> int:
    """The line (from 1) on which the value at a path begins; for a path that is not there, its nearest parent's.

    >>> line_of('[budget]\\nhours = 8', ("budget", "hours"))
    2

    Found by reading longer and longer beginnings of the text until the value is in one.
    """
    lines = text.splitlines()
    while path:
        readable = 0
        for count in range(1, len(lines) + 1):
            try:
                document = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue  # within a value of several lines
            if _has(document, path):
                return readable + 1
            readable = count
        path = path[:-1]
    return 1


def _has(value: object, path: Path) -> bool:
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return False
            value = value[step]
        else:
            if not isinstance(value, dict) or step not in value:
                return False
            value = value[step]
    return True
