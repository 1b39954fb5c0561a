"""The standard streams of the command line, whatever is at their other end."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
import unicodedata
from typing import NoReturn, TextIO

from search_spaces import AutotuneError

#: The name of the error handler of streams that cannot encode every character.
PLAIN_LETTERS = "autotune-plain-letters"
_WIDTH = re.compile("[1-9][0-9]{0,3}")
_LEAST_WIDTH = 20
# One letter for one character, so that tables stay aligned.
_PLAIN = str.maketrans("µμ×÷–—−─│·•…→←↑↓≤≥≈°“”„‘’", 'uux/----|||~><^v<>~ """\'\'')


class ResultStream(io.TextIOWrapper):
    """A stream for results: where it takes no more, the program ends.

    Ends quietly with exit code 1 where the reader has gone, and raises AutotuneError for other errors.
    """

    def write(self, text: str, /) -> int:
        """Writes a text."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Passes on what was written."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> NoReturn:
        _discard(self)
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None
        raise AutotuneError(
            f"expected stdout to take the results, found: {error.strerror}; write them elsewhere",
            code="AT803",
        ) from error


class RemarkStream(io.TextIOWrapper):
    """A stream for progress, warnings and errors: where it takes no more, the rest is discarded."""

    def write(self, text: str, /) -> int:
        """Writes a text."""
        try:
            return super().write(text)
        except OSError:
            _discard(self)
            return len(text)

    def flush(self) -> None:
        """Passes on what was written."""
        try:
            super().flush()
        except OSError:
            _discard(self)


def open_streams() -> None:
    """Makes stdout and stderr of this process safe to write to, those that were closed included."""
    _mend_width()
    for number in range(3):
        _open_if_closed(number)
    codecs.register_error(PLAIN_LETTERS, plain_letters)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _opened(ResultStream, sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _opened(RemarkStream, sys.stderr, 2)


def plain_letters(error: UnicodeError) -> tuple[str, int]:
    """The error handler: letters without their marks, a similar ASCII character, or question marks.

    Raises the error where it is none of encoding.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    base = unicodedata.normalize("NFD", character.translate(_PLAIN))[0]
    return base if base.isascii() else "?" * (2 if unicodedata.east_asian_width(character) in "WF" else 1)


def _mend_width() -> None:
    """Forgets a COLUMNS that no terminal has; raises one in which no help fits."""
    width = os.environ.get("COLUMNS", "80")
    if not _WIDTH.fullmatch(width):
        del os.environ["COLUMNS"]
    elif int(width) < _LEAST_WIDTH:
        os.environ["COLUMNS"] = str(_LEAST_WIDTH)


def _open_if_closed(number: int) -> None:
    """Opens the null device under a closed descriptor, which the next file that is opened would get otherwise."""
    try:
        os.fstat(number)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _opened(
    kind: type[ResultStream] | type[RemarkStream], before: TextIO | None, number: int
) -> ResultStream | RemarkStream:
    if before is not None:
        before.flush()
    return kind(
        open(number, "wb", closefd=False),
        encoding=before.encoding if before else "utf-8",
        errors=PLAIN_LETTERS,
        line_buffering=bool(before and before.line_buffering),
    )


def _discard(stream: io.TextIOWrapper) -> None:
    """Lets the null device take what is yet to be written, also what is in the buffers."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
