"""Faults of requests, which are answered with a status and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_MOST_LETTERS = 80


class RequestFault(Exception):
    """A request that gets no outputs; status: of HTTP; message: one sentence; headers: of the answer."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def shown(value: object) -> str:
    """A value from outside in ASCII, without control characters, and short."""
    text = ascii(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}..."
