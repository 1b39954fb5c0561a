"""Frozen dataclasses with one text in every field that takes one, found by their types: new fields are filled, too."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any


def filled(kind: Any, text: str, **others: object) -> Any:
    """A value of a dataclass: texts are the field's name and the text, lists have one member, numbers are positive.

    others: fields that are given instead.
    """
    hints = typing.get_type_hints(kind)
    names = [one.name for one in fields(kind) if one.name not in others]
    return kind(**{name: _value(hints[name], name, text) for name in names}, **others)


def _value(kind: Any, name: str, text: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _value(inner[0], name, text)
    if origin is tuple:
        return tuple(_value(each, name, text) for each in inner if each is not Ellipsis)
    if origin is Mapping or origin is dict:
        return {_value(inner[0], name, text): _value(inner[1], name, text)}
    if issubclass(kind, Enum):
        return list(kind)[-1]
    if kind is str:
        return f"{name} {text}"
    return kind(1) if kind in (bool, int, float) else filled(kind, text)
