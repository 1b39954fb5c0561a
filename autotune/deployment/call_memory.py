"""The memory that a built model's calls share with their caller instead of copying it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

#: The function of a library that returns its `CallMemory`, as JSON.
CALL_MEMORY: Final = "call_memory"


class CallMemory(msgspec.Struct, frozen=True):
    """The memory that calls may share; by default what any library allows.

    input_alignment: in bytes; arrays at multiples of it are read where they are;
    own_outputs:     by function, the places of outputs in memory that is the call's alone: no constant, no input, and
                     no other output lies there.
    """

    input_alignment: int = 64
    own_outputs: Mapping[str, tuple[int, ...]] = {}

    @classmethod
    def from_json(cls, text: str) -> CallMemory:
        """Reads what `to_json` wrote. Raises msgspec.MsgspecError for another text."""
        return msgspec.json.decode(text, type=cls)

    def to_json(self) -> str:
        """The JSON text."""
        return msgspec.json.encode(self).decode()
