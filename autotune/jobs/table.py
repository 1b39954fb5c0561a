"""Tables as values: made once, then shown in a terminal, in a pipe or on a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: A text; a share from 0 to 1, which a page draws as a bar; or several lines of text.
Cell = str | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and how it yields in a narrow terminal.

    importance:  the columns with the lowest are left out first; the first column of a table always stays;
    least_chars: the length to which texts may be shortened in the middle, None for values that are never shortened.
    """

    name: str
    importance: int = 1
    least_chars: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with one cell for each column."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def wraps(self) -> list[bool]:
        """For each column whether its texts may be broken into lines: only values are kept on one."""
        return [column.least_chars is not None for column in self.columns]

    def without(self, is_left_out: Callable[[Column], bool]) -> Table:
        """The table without some of its columns."""
        kept = [place for place, column in enumerate(self.columns) if not is_left_out(column)]
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return Table(self.title, tuple(self.columns[place] for place in kept), rows)


def cell_text(cell: Cell) -> str:
    """The text of a cell on one line: a share in per cent, lines joined by semicolons."""
    match cell:
        case str():
            return cell
        case float() | int():
            return f"{cell:.1%}"
    return "; ".join(cell)
