"""Parsers and checks of values that are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from autotune.models.size_range import Size, parse_size
from search_spaces import Misuse

# A number, or a range with or without a step.
_SIZE = r"\d+(?:\.\.\d+(?::\d+)?)?"


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[Size, ...]]:
    """Parses shapes by input name, each written `name:1,3,320,320` or, with ranges, `name:1..8,3,160..320:32,320`.

    Raises Misuse for anything else.
    """
    shapes: dict[str, tuple[Size, ...]] = {}
    for text in texts:
        found = re.fullmatch(rf"(.+?):({_SIZE}(?:,{_SIZE})*)", text)
        if found is None:
            raise Misuse(
                f"a shape looks like input:1,3,320,320 or input:1..8,3,160..320:32,320; found {text!r}",
                code="AT105",
            )
        name, sizes = found.groups()
        shape = tuple(parse_size(size) for size in sizes.split(","))
        if 0 in shape:
            raise Misuse(f"the sizes of a shape are positive; found {text!r}", code="AT105")
        if name in shapes:
            raise Misuse(f"input {name!r} has one shape; found two", code="AT105")
        shapes[name] = shape
    return shapes


def parse_dims(texts: Sequence[str]) -> dict[str, Size]:
    """Parses sizes of named dimensions, each written `batch=1` or `batch=1..8`. Raises Misuse for anything else."""
    dims: dict[str, Size] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not re.fullmatch(_SIZE, size) or not parse_size(size):
            raise Misuse(
                f"a dimension looks like batch=1 or batch=1..8, with positive sizes; found {text!r}",
                code="AT105",
            )
        if name in dims:
            raise Misuse(f"dimension {name!r} has one size; found two", code="AT105")
        dims[name] = parse_size(size)
    return dims


def check_choice(path: Path | None, operator: str | None) -> None:
    """Raises Misuse unless exactly one of a model file and an operator is given."""
    if (path is None) == (operator is None):
        raise Misuse(
            "name a model file or one operator with --op; " + ("found both" if path else "found neither"),
            code="AT107",
        )
