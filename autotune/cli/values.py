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
