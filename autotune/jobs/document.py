"""JSON documents with names from file systems, which need not be UTF-8."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode_document(document: Any) -> bytes:
    """A document as indented JSON; a byte of a name that is not UTF-8 becomes the escape of a lone surrogate."""
    try:
        return msgspec.json.format(msgspec.json.encode(document), indent=1)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(document), indent=1).encode()


def decode_document(data: bytes, kind: type[T]) -> T:
    """A document of a type. Raises msgspec.DecodeError where it is none."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            raise error from None
        return msgspec.convert(found, kind)
