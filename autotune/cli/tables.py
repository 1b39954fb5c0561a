"""Tables in a terminal, fitted to its width, and in a pipe, where each row is one line however long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from autotune.cli.console import OUT
from autotune.jobs.table import Column, Table, cell_text
from search_spaces.printable_text import one_line

_GAP = "  "


@dataclass(frozen=True)
class Layout:
    """The columns that a width has room for: their positions in the table and their widths in characters."""

    kept: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class TableView:
    """A table as Rich prints it; styles: of the cells that hold exactly such a text."""

    table: Table
    styles: Mapping[str, str] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fits a terminal; elsewhere the width has no limit."""
        width = options.max_width if console.is_terminal else None
        texts = [[one_line(cell_text(cell)) for cell in row] for row in self.table.rows]
        named = [replace(one, name=one_line(one.name)) for one in self.table.columns]
        found = fit(named, texts, width)
        columns = [named[number] for number in found.kept]
        if self.table.title:
            yield _line(Text(one_line(self.table.title), style="italic"))
        yield _line(_joined([Text(one.name, style="bold") for one in columns], columns, found.widths))
        yield _line(Text(_GAP.join("─" * wide for wide in found.widths), style="dim"))
        for row in texts:
            cells = [
                Text(shorten(row[number], wide), style=self.styles.get(row[number], ""))
                for number, wide in zip(found.kept, found.widths, strict=True)
            ]
            yield _line(_joined(cells, columns, found.widths))
        left_out = [one.name for number, one in enumerate(named) if number not in found.kept]
        if left_out:
            names = ", ".join(left_out)
            yield Text(f"columns left out at {width}: {names}; see --json or a wider terminal", style="dim")


def print_table(table: Table, styles: Mapping[str, str] | None = None) -> None:
    """Prints a table on stdout."""
    OUT.print(TableView(table, styles or {}))


def fit(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int | None) -> Layout:
    """Chooses columns and widths: texts that may be are shortened first, then the least important columns left out."""
    natural = [
        max(cell_len(text) for text in (column.name, *(row[number] for row in texts)))
        for number, column in enumerate(columns)
    ]
    if width is None:
        return Layout(tuple(range(len(columns))), tuple(natural))
    least = [
        wide if column.least_chars is None else min(wide, max(column.least_chars, cell_len(column.name)))
        for wide, column in zip(natural, columns, strict=True)
    ]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _total(least[number] for number in kept) > width:
        kept.remove(min(kept[1:], key=lambda number: (columns[number].importance, -number)))
    widths = {number: least[number] for number in kept}
    spare = width - _total(widths.values())
    for number in sorted(kept, key=lambda number: -columns[number].importance):
        more = max(min(natural[number] - widths[number], spare), 0)
        widths[number] += more
        spare -= more
    if len(kept) == 1:
        widths[kept[0]] = min(widths[kept[0]], width)
    return Layout(tuple(kept), tuple(widths[number] for number in kept))


def shorten(text: str, width: int) -> str:
    """A text of at most `width` characters on the screen, with … in place of its middle where it is longer.

    >>> shorten("conv2d_add_relu_17", 9)
    'conv…u_17'
    """
    if cell_len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = width - 1 - head
    return f"{set_cell_size(text, head)}…{_end(text, tail)}"


def _end(text: str, width: int) -> str:
    reversed_end = set_cell_size(text[::-1], width)
    return reversed_end[::-1]


def _total(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(_GAP) * (len(found) - 1)


def _joined(cells: Sequence[Text], columns: Sequence[Column], widths: Sequence[int]) -> Text:
    padded = []
    for number, (cell, column, wide) in enumerate(zip(cells, columns, widths, strict=True)):
        room = " " * (wide - cell.cell_len)
        is_text = number == 0 or column.least_chars is not None
        padded.append(cell + room if is_text else Text(room) + cell)
    line = Text(_GAP).join(padded)
    line.rstrip()
    return line


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ignore"
    return text
