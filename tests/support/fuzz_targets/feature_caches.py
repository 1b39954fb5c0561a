"""Feature caches beside logs: whatever is wrong with one, it is empty."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from cost_models.features.feature_cache import KEY_BYTES, FeatureCache
from fuzz_targets.edits import edited

_COLUMNS = ("a", "b", "c")
_KEYS = [bytes([number]) * KEY_BYTES for number in range(4)]
_ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def seeds() -> Iterator[bytes]:
    """A whole cache, and edits of its header and rows."""
    path = Path("whole.features")
    FeatureCache(path, 1, _COLUMNS).keep(_KEYS, _ROWS)
    yield b"\x00" + path.read_bytes()
    for number in range(4):
        yield bytes([0x80 + number]) + bytes(range(number, 50 + number))


def read(data: bytes, folder: Path) -> None:
    """Opens a cache and looks rows up."""
    kind, data = data[:1], data[1:]
    path = folder / "log.jsonl.features"
    if kind < b"\x80":
        path.write_bytes(data)
    else:
        FeatureCache(path, 1, _COLUMNS).keep(_KEYS, _ROWS)
        head, _, body = path.read_bytes().partition(b"\n")
        place = data[0] if data else 0
        body = body[:place] + data[1:5] + body[place + len(data[1:5]) :]
        header = edited({**msgspec.json.decode(head), "sha256": hashlib.sha256(body).hexdigest()}, data[5:])
        try:
            path.write_bytes(msgspec.json.encode(header) + b"\n" + body)
        except (TypeError, ValueError, OverflowError):
            return
    cache = FeatureCache(path, 1, _COLUMNS)
    rows, known = cache.find(_KEYS)
    assert rows.shape == (4, 3) and not np.isinf(rows).any()
    assert known.sum() <= len(cache)
