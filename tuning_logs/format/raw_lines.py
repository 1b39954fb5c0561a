"""Reads a file line by line in bounded memory, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tuning_logs.format.line import LONGEST_WORKLOAD_LINE, bare

_SKIPPED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line as it stands in the file.

    number: counted from 1.
    size:   bytes in the file, newline included.
    text:   the bytes without the newline, or None where they are too many to be a line of a tuning log.
    ended:  whether a newline ends it; only the last line of a file may lack one.
    """

    number: int
    size: int
    text: bytes | None
    ended: bool


def raw_lines(file: BinaryIO, *, first: int = 1, longest: int = LONGEST_WORKLOAD_LINE) -> Iterator[RawLine]:
    """The lines from the file's position on, numbered from first; never holds over `longest` bytes of one."""
    number = first
    while text := file.readline(longest + 1):
        size, ended = len(text), text.endswith(b"\n")
        fits = ended or size <= longest
        while not ended and not fits and (more := file.readline(_SKIPPED_AT_ONCE)):
            size, ended = size + len(more), more.endswith(b"\n")
        yield RawLine(number, size, bare(text) if fits else None, ended)
        number += 1
