"""Ranges of sizes of a dimension that differs from call to call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.errors import Misuse

#: The largest size of a dimension.
MOST_SIZE = 999_999_999
# Nine digits at most.
_NUMBER = r"(\d{1,9})"
_FORM = re.compile(rf"{_NUMBER}\.\.{_NUMBER}(?::{_NUMBER})?")


@dataclass(frozen=True, slots=True)
class SizeRange:
    """The sizes low, low + step, … high. Raises Misuse where high is not one of them, and for sizes below 1."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high or self.step < 1 or (self.high - self.low) % self.step:
            raise Misuse(
                f"expected a range of sizes from 1 up whose end is whole steps from its start, as in 1..8 or "
                f"160..320:32; found {self}",
                code="AT105",
            )

    def __contains__(self, size: object) -> bool:
        return isinstance(size, int) and size in self.sizes

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + (f":{self.step}" if self.step != 1 else "")

    @property
    def sizes(self) -> range:
        """Every size, in ascending order."""
        return range(self.low, self.high + 1, self.step)


#: One dimension as a user gives it.
Size = int | SizeRange


def parse_size(text: str) -> Size:
    """A number or a range, as in ``8``, ``1..8`` or ``160..320:32``; a range of one size is that size.

    Raises Misuse for anything else.
    """
    if re.fullmatch(_NUMBER, text):
        return int(text)
    found = _FORM.fullmatch(text)
    if found is None:
        raise Misuse(
            f"a size is a number up to {MOST_SIZE} or a range, as in 8, 1..8 or 160..320:32; found {text!r}",
            code="AT105",
        )
    low, high, step = found.groups()
    sizes = SizeRange(int(low), int(high), int(step or 1))
    return sizes.low if sizes.low == sizes.high else sizes


def largest(size: Size) -> int:
    """The end of a range, or the size itself."""
    return size.high if isinstance(size, SizeRange) else size


def has_ranges(shapes: Mapping[str, tuple[Size, ...]], dims: Mapping[str, Size]) -> bool:
    """Whether any size differs from call to call."""
    given = [*dims.values(), *(size for shape in shapes.values() for size in shape)]
    return any(isinstance(size, SizeRange) for size in given)
