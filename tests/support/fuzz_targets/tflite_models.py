"""TFLite files: imported in a limited child, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from repository import GOLDEN

from autotune.models.model import load_model
from fuzz_targets.limited_child import in_limited_child
from search_spaces.errors import AutotuneError

_WHOLE = [path.read_bytes() for path in sorted((GOLDEN / "models").glob("*.tflite"))]


def seeds() -> Iterator[bytes]:
    """The golden models, and places to be changed in them."""
    for number, content in enumerate(_WHOLE):
        yield b"\x00" + content
        for start in range(0, 240, 40):
            yield bytes([0x80 + number, start, start // 7, 255, 0, start])


def read(data: bytes, folder: Path) -> None:
    """Imports a file of these bytes, or with bytes changed."""
    kind, data = data[:1], data[1:]
    content = data
    if kind >= b"\x80":
        changed = bytearray(_WHOLE[kind[0] % len(_WHOLE)])
        for start in range(0, len(data) - 2, 3):
            changed[int.from_bytes(data[start : start + 2], "little") % len(changed)] = data[start + 2]
        content = bytes(changed)
    (folder / "model.tflite").write_bytes(content)
    in_limited_child(lambda: _load(folder / "model.tflite"))


def _load(path: Path) -> None:
    with contextlib.suppress(AutotuneError):
        load_model(path)
