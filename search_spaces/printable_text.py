"""Text that is safe to show: names and messages from outside, without control characters."""

from __future__ import annotations

import re
import unicodedata

# Joiners within words of Persian and within emoji.
_HARMLESS = "\u200c\u200d"
# Control and format characters, surrogates, separators of lines.
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_BREAKS = re.compile("[ ]*[\t\n\v\f\r\x85\u2028\u2029]\\s*")


def printable(text: str) -> str:
    r"""A text whose control characters, invisible ones and lone surrogates are written as escapes; new lines stay.

    >>> printable("a\x1b[2Jb")
    'a\\u001b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(one) if _is_hidden(one) else one for one in text)


def one_line(text: str) -> str:
    r"""A printable text on one line.

    >>> one_line("first\r\nsecond")
    'first second'
    """
    return printable(_BREAKS.sub(" ", text))


def counted(count: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "thread"), counted(16_137, "record")
    ('1 thread', '16,137 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable_value(value: object) -> object:
    """A value for a template: a printable text where it is a text, itself where it is markup or anything else."""
    return printable(value) if type(value) is str else value


def _is_hidden(one: str) -> bool:
    if ord(one) & 0xFFFE == 0xFFFE:  # no character, and refused in XML
        return True
    return one != "\n" and one not in _HARMLESS and unicodedata.category(one) in _HIDDEN


def _escaped(one: str) -> str:
    # Escapes of JSON, so that JSON stays JSON.
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"
