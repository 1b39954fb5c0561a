"""A form with a file, parsed as it arrives: the file is never in memory as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from search_spaces.errors import Misuse

_MOST_FIELD_BYTES: Final = 4096
_MOST_PARTS: Final = 16


@dataclass(frozen=True, slots=True)
class FormField:
    """A field before or after the file."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileStart:
    """The beginning of a file; name: as the browser tells it."""

    name: str


@dataclass(frozen=True, slots=True)
class FileData:
    """Some bytes of the file."""

    data: bytes


Part = FormField | FileStart | FileData


class FileForm:
    """The parser of a form's body. Its methods raise Misuse for what is no such form."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise _unfit(f"the type {content_type[:80]!r}")
        self._found: list[Part] = []
        self._parts = 0
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._field: tuple[str, bytearray] | None = None
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_name,
                    "on_header_value": self._add_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_data,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                },
            )
        except FormParserError as error:
            raise _unfit(str(error)) from error

    def feed(self, chunk: bytes) -> list[Part]:
        """The parts that a piece of the body completes, in their order."""
        self._found = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unfit(str(error)) from error
        return self._found

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _unfit(f"more than {_MOST_PARTS} parts")
        self._headers, self._field = {}, None

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > _MOST_FIELD_BYTES:
            raise _unfit("a header that is too long")

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _begin_data(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"filename" in options:
            self._found.append(FileStart(_text(options[b"filename"])))
        else:
            self._field = (_text(options.get(b"name", b"")), bytearray())

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._found.append(FileData(data[start:end]))
            return
        self._field[1].extend(data[start:end])
        if len(self._field[1]) > _MOST_FIELD_BYTES:
            raise _unfit("a field that is too long")

    def _end_part(self) -> None:
        if self._field is not None:
            self._found.append(FormField(self._field[0], _text(bytes(self._field[1]))))


def _text(found: bytes) -> str:
    return found.decode("utf-8", "replace")


def _unfit(found: str) -> Misuse:
    return Misuse(f"expected a form with a file, found {found}", code="AT911")
