"""One file for a trained model: a card of plain JSON, and the trees in XGBoost's own format."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import Misuse

_PARTS: Final = "parts"


def write_model_file(path: Path, card: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
    """Writes the card as a line of JSON, then the parts; the file appears whole or not at all.

    Raises Misuse where the path cannot be written.
    """
    sizes = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in parts.items()]
    head = json.dumps({**card, _PARTS: sizes}, sort_keys=True).encode()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(head + b"\n" + b"".join(parts.values()))
        fresh.replace(path)
    except OSError as error:
        raise Misuse(f"expected a place for a cost model at {path}, found: {error.strerror}") from error


def read_model_file(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The card and the parts; nothing in the file is executed, and no part is given that is not whole.

    Raises Misuse where the file is missing, torn, changed, no cost model, or another kind of one.
    """
    if not path.is_file():
        raise Misuse(f"expected a cost model at {path}, found no such file; train one first")
    head, _, body = path.read_bytes().partition(b"\n")
    parts: dict[str, bytes] = {}
    try:
        card = json.loads(head)
        start = 0
        for name, size, digest in card.pop(_PARTS):
            parts[str(name)] = body[start : start + size]
            start += size
            if hashlib.sha256(parts[str(name)]).hexdigest() != digest:
                raise ValueError(name)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        card, start = None, -1
    if not isinstance(card, dict) or start != len(body):
        raise Misuse(f"{path} is not a whole cost model, or was changed; train or copy it again")
    if card.get("kind") != kind:
        raise Misuse(f"expected a model of kind {kind!r} in {path}, found {card.get('kind')!r}")
    return card, parts
