"""Parsers of values that are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from search_spaces import Misuse


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parses shapes by input name, each written `name:1,3,320,320`. Raises Misuse for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition(":")
        if not name or not re.fullmatch(r"\d+(,\d+)*", sizes):
            raise Misuse(f"a shape looks like input:1,3,320,320; found {text!r}", code="AT105")
        shape = tuple(int(size) for size in sizes.split(","))
        if prod(shape) == 0:
            raise Misuse(f"the sizes of a shape are positive; found {text!r}", code="AT105")
        if name in shapes:
            raise Misuse(f"input {name!r} has one shape; found two", code="AT105")
        shapes[name] = shape
    return shapes


def parse_dims(texts: Sequence[str]) -> dict[str, int]:
    """Parses sizes of named dimensions, each written `batch=1`. Raises Misuse for anything else."""
    dims: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not re.fullmatch(r"\d+", size) or int(size) == 0:
            raise Misuse(
                f"a dimension looks like batch=1, with a positive size; found {text!r}", code="AT105"
            )
        if name in dims:
            raise Misuse(f"dimension {name!r} has one size; found two", code="AT105")
        dims[name] = int(size)
    return dims
