"""Times and latencies as people read and write them."""

from __future__ import annotations

import math
import re

from search_spaces import Misuse

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_LATENCY_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def parse_secs(text: str) -> float:
    """Seconds of a duration such as `90s`, `5m`, `8h` or `1h30m`. Raises Misuse for anything else."""
    if not _DURATION.fullmatch(text):
        raise Misuse(f"a time looks like 90s, 5m, 8h or 1h30m; found {text!r}", code="AT505")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def show_duration(secs: float) -> str:
    """A time of seconds to days in two units at most.

    >>> show_duration(5400)
    '1 h 30 m'
    """
    secs = max(round(secs), 0)
    for unit, next_unit, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if secs >= size:
            return f"{secs // size} {unit} {secs % size // part} {next_unit}"
    return f"{secs} s"


def show_secs(secs: float | None) -> str:
    """A latency in three digits and the unit that suits; a dash for None and infinity.

    >>> show_secs(0.01234)
    '12.3 ms'
    """
    if secs is None or math.isinf(secs):
        return "–"
    unit, scale = latency_unit(secs)
    return f"{secs / scale:.3g} {unit}"


def show_interval(secs: float, low_secs: float, high_secs: float) -> str:
    """A latency and its interval in the unit of the latency.

    >>> show_interval(0.0102, 0.0099, 0.011)
    '10.2 ms (9.9 to 11)'
    """
    unit, scale = latency_unit(secs)
    return f"{secs / scale:.3g} {unit} ({low_secs / scale:.3g} to {high_secs / scale:.3g})"


def latency_unit(secs: float) -> tuple[str, float]:
    """The unit that suits a latency, and its size in seconds."""
    return next((one for one in _LATENCY_UNITS if secs >= one[1]), _LATENCY_UNITS[-1])
