"""UBJSON as XGBoost writes its models in it: read with bounds on depth and number of values, and written."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

Value = Any
"""None, bool, int, float, str, a list, a dict with texts as keys, or a one-dimensional array of numbers."""

_MOST_VALUES: Final = 1 << 20
_DEEPEST: Final = 16
_CONSTANTS: Final[dict[bytes, Value]] = {b"Z": None, b"T": True, b"F": False}
#: Numbers by their marker, big-endian: single ones, and the elements of arrays.
_NUMBERS: Final = {
    marker: np.dtype(text)
    for marker, text in {
        b"d": ">f4", b"D": ">f8", b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"
    }.items()
}  # fmt: skip
_MARKERS: Final = {dtype.newbyteorder("="): marker for marker, dtype in _NUMBERS.items()}


def read_ubjson(data: bytes) -> Value:
    """The value that the bytes hold. Raises ValueError where they are not one value, whole and of bounded size."""
    reader = _Reader(data)
    value = reader.value(0)
    if reader.place != len(data):
        raise ValueError("bytes behind the end")
    return value


def write_ubjson(value: Value) -> bytes:
    """The bytes of a value; arrays as arrays of one type."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._values = 0
        self.place = 0

    def value(self, depth: int) -> Value:
        self._values += 1
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            raise ValueError("nested too deep, or too many values")
        marker = self._take(1)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            dtype = _NUMBERS[marker]
            return np.frombuffer(self._take(dtype.itemsize), dtype)[0].item()
        if marker == b"S":
            return self._text()
        if marker == b"{":
            return self._mapping(depth)
        if marker == b"[":
            return self._sequence(depth)
        raise ValueError(f"the unknown marker {marker!r}")

    def _take(self, size: int) -> bytes:
        taken = self._data[self.place : self.place + size]
        if len(taken) != size:
            raise ValueError("cut off")
        self.place += size
        return taken

    def _expect(self, marker: bytes) -> None:
        if self._take(len(marker)) != marker:
            raise ValueError(f"no {marker!r} where one belongs")

    def _next_is(self, marker: bytes) -> bool:
        return self._data[self.place : self.place + 1] == marker

    def _size(self) -> int:
        self._expect(b"L")
        (size,) = struct.unpack(">q", self._take(8))
        if not 0 <= size <= len(self._data) - self.place:
            raise ValueError("longer than the data")
        return int(size)

    def _text(self) -> str:
        return self._take(self._size()).decode()

    def _mapping(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not self._next_is(b"}"):
            name = self._text()
            if name in found:
                raise ValueError(f"{name!r} twice")
            found[name] = self.value(depth + 1)
        self.place += 1
        return found

    def _sequence(self, depth: int) -> Value:
        if self._next_is(b"$"):
            self.place += 1
            marker = self._take(1)
            if marker not in _NUMBERS:
                raise ValueError(f"an array of the unknown marker {marker!r}")
            self._expect(b"#")
            dtype = _NUMBERS[marker]
            taken = self._take(self._size() * dtype.itemsize)
            return np.frombuffer(taken, dtype).astype(dtype.newbyteorder("="))
        if self._next_is(b"#"):
            self.place += 1
            return [self.value(depth + 1) for _ in range(self._size())]
        found: list[Value] = []
        while not self._next_is(b"]"):
            found.append(self.value(depth + 1))
        self.place += 1
        return found


def _write(value: Value, parts: list[bytes]) -> None:
    if isinstance(value, str):
        parts += (b"S", _sized(value.encode()))
    elif isinstance(value, int):
        parts.append(b"L" + struct.pack(">q", value))
    elif isinstance(value, np.ndarray):
        marker = _MARKERS[value.dtype]
        parts.append(b"[$" + marker + b"#L" + struct.pack(">q", len(value)))
        parts.append(value.astype(_NUMBERS[marker]).tobytes())
    elif isinstance(value, list):
        parts.append(b"[#L" + struct.pack(">q", len(value)))
        for item in value:
            _write(item, parts)
    else:
        parts.append(b"{")
        for name, item in value.items():
            parts.append(_sized(name.encode()))
            _write(item, parts)
        parts.append(b"}")


def _sized(data: bytes) -> bytes:
    return b"L" + struct.pack(">q", len(data)) + data
