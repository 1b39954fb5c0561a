"""The storage of a log in memory."""

from __future__ import annotations


class MemorySource:
    """Bytes that only grow."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return len(self._data)

    def append(self, data: bytes) -> None:
        """Adds whole lines."""
        self._data += data

    def at(self, offset: int, size: int) -> bytes:
        """The size bytes at an offset."""
        return bytes(self._data[offset : offset + size])

    def distrust(self) -> None:
        """Does nothing: there is no index."""
