"""The consoles of the command line: results on stdout, everything else on stderr; texts are printed literally."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from search_spaces.printable_text import one_line, printable

# Keeps Rich from reading COLUMNS and LINES before `open_streams` has looked at them.
_SIZE = {"width": 80, "height": 25}


class LiteralConsole(Console):
    """Prints names and messages as they are: no markup, no emoji codes, no coloured numbers, no control characters.

    A terminal is what says so itself: FORCE_COLOR colours what goes to a file or a pipe, and changes nothing else.
    """

    def __init__(self, **options: Any) -> None:
        is_coloured = os.environ.get("FORCE_COLOR", "") not in ("", "0")
        colours = {"color_system": "standard"} if is_coloured else {}
        literal = {"soft_wrap": True, "markup": False, "emoji": False, "highlight": False}
        super().__init__(**{**literal, **colours, **_SIZE, **options})
        # Rich asks the terminal for what is not given each time anew.
        self._width, self._height = options.get("width"), options.get("height")

    @property
    def is_terminal(self) -> bool:
        """Whether the stream is a terminal."""
        return self.file.isatty() if self._force_terminal is None else self._force_terminal

    @property
    def is_dumb_terminal(self) -> bool:
        """Whether the terminal may know no control sequences: TERM says so, or nothing."""
        return super().is_dumb_terminal or (self.is_terminal and not os.environ.get("TERM"))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders with the control characters of texts as escapes."""
        for one in super().render(renderable, options):
            yield one if one.control else Segment(printable(one.text), one.style)


#: Results.
OUT = LiteralConsole()
#: Progress, warnings and errors.
ERR = LiteralConsole(stderr=True)


def tell(text: str, style: str | None = None) -> None:
    """Prints a result on stdout, on one line."""
    OUT.print(one_line(text), style=style)


def note(text: str, style: str | None = None) -> None:
    """Prints a remark on stderr, on one line."""
    ERR.print(one_line(text), style=style)


def warn(text: str) -> None:
    """Prints a warning on stderr, on one line."""
    note(text, "yellow")


def print_json(value: Any) -> None:
    """Prints one JSON document on stdout; infinite and undefined numbers become null."""
    OUT.out(json.dumps(_finite(value), indent=2), highlight=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
