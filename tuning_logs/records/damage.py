"""Unreadable lines of a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: A file of nothing but damage must not fill the memory with reports of it.
MOST_REPORTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that could not be read: its number, counted from 1, and why."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
