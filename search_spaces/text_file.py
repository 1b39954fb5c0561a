"""Text files that people edit: UTF-8, with or without a byte-order mark, with the line ends of any system."""

from __future__ import annotations

import codecs
from pathlib import Path

# A device such as /dev/zero has no end.
_MOST_BYTES = 16 << 20
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnreadableText(ValueError):
    """The bytes are no UTF-8 text; the message says what they are."""


def read_text(path: Path) -> str:
    """Reads a file of text. Raises OSError, or UnreadableText where it is too large or no UTF-8."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UnreadableText(f"more than {_MOST_BYTES >> 20} MiB")
    return decode_text(data)


def decode_text(data: bytes) -> str:
    r"""The text in the bytes of a file, without a byte-order mark, its lines ended by \n alone.

    Raises UnreadableText where they are no UTF-8.
    """
    if data.startswith(_UTF_16):
        raise UnreadableText("UTF-16, not UTF-8: save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableText(f"a byte that is not UTF-8 in line {line}: save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
