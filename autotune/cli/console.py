"""The consoles of the command line: results on stdout, everything else on stderr; texts are printed literally."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console


class PatientConsole(Console):
    """Ignores a closed pipe from then on; Rich's own console would end the program, and stdout with it."""

    def on_broken_pipe(self) -> None:
        """Writes nothing from now on."""
        self.quiet = True


#: Options of a console that prints names and messages as they are: no markup, no emoji codes, no coloured numbers.
LITERAL: Any = {"soft_wrap": True, "markup": False, "emoji": False, "highlight": False}
#: Results.
OUT = Console(**LITERAL)
#: Progress, warnings and errors.
ERR = PatientConsole(stderr=True, **LITERAL)


def warn(text: str) -> None:
    """Prints a warning on stderr."""
    ERR.print(text, style="yellow")


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
