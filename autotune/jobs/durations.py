"""Times as people write them: 90s, 5m, 8h or 1h30m."""

from __future__ import annotations

import re

from search_spaces import Misuse

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def parse_secs(text: str) -> float:
    """Seconds of a duration such as `90s`, `5m`, `8h` or `1h30m`. Raises Misuse for anything else."""
    if not _DURATION.fullmatch(text):
        raise Misuse(f"a time looks like 90s, 5m, 8h or 1h30m; found {text!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def show_duration(secs: float) -> str:
    """A time of seconds to days for people: two units at most."""
    secs = max(round(secs), 0)
    for unit, next_unit, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if secs >= size:
            return f"{secs // size} {unit} {secs % size // part} {next_unit}"
    return f"{secs} s"
