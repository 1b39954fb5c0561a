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


def parse_values(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Parses values of inputs, each written `sr=16000`, `is_fast=true` or `sizes=1,80`.

    Raises Misuse for anything else.
    """
    values: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, _, elements = text.rpartition("=")
        try:
            found = tuple(map(_number, elements.split(",")))
        except ValueError:
            found = ()
        if not name or not found:
            raise Misuse(f"an input's value looks like sr=16000 or sizes=1,80; found {text!r}", code="AT105")
        if name in values:
            raise Misuse(f"input {name!r} has one value; found two", code="AT105")
        values[name] = found
    return values


def _number(text: str) -> float:
    """An integer of any size, a float, or true or false."""
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def check_choice(path: Path | None, operator: str | None) -> None:
    """Raises Misuse unless exactly one of a model file and an operator is given."""
    if (path is None) == (operator is None):
        raise Misuse(
            "name a model file or one operator with --op; " + ("found both" if path else "found neither"),
            code="AT107",
        )
