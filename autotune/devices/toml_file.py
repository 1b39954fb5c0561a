"""A table of a TOML file that is being checked: values of the right type, or a complaint with its line."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

from search_spaces import Misuse
from search_spaces.text_file import read_text

#: Characters that are parsed to find the lines of values; in files that people write, some thousands.
_MOST_PARSED: Final = 1 << 22

Key = str | int
KeyPath = Sequence[Key]


def lines_by_path(text: str) -> dict[tuple[Key, ...], int]:
    """The first line of every value of a TOML document, a value of several lines counting as one.

    Each statement (a header, or a key with its value) is parsed by itself.
    """
    found: dict[tuple[Key, ...], int] = {}
    lengths: dict[tuple[Key, ...], int] = {}  # of arrays of tables, so far
    table: tuple[Key, ...] = ()
    for line, statement, values in _statements(text):
        if statement.startswith("["):
            table = _table_path(values, lengths)
            paths = [table]
        else:
            paths = [(*table, *path) for path in _paths(values)]
        for path in paths:
            for length in range(1, len(path) + 1):
                found.setdefault(path[:length], line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The first line, text and values of each statement."""
    parsed, first, lines = 0, 1, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        if not lines:
            first = number
        lines.append(line)
        statement = "\n".join(lines)
        parsed += len(statement)
        if parsed > _MOST_PARSED:
            return  # in a value of very many lines, each of which parses all lines before it
        try:
            values = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # within a value of several lines
        lines.clear()
        yield first, statement.lstrip(), values


def _table_path(header: dict[str, Any], lengths: dict[tuple[Key, ...], int]) -> tuple[Key, ...]:
    """The path of the table that a header begins; counts the tables of arrays."""
    path: tuple[Key, ...] = ()
    value: Any = header
    while value:
        if isinstance(value, list):
            lengths[path] = lengths.get(path, 0) + 1
            return (*path, lengths[path] - 1)
        if path in lengths:
            path = (*path, lengths[path] - 1)
        [(key, value)] = value.items()
        path = (*path, key)
    return path


def _paths(value: object) -> Iterator[tuple[Key, ...]]:
    """The paths of all values in a value."""
    items: Iterable[tuple[Key, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (key,)
        yield from ((key, *path) for path in _paths(inner))


T = TypeVar("T")

_TYPE_NAMES = {str: "a text", int: "a whole number", float: "a number", dict: "a table", list: "a list"}


@dataclass
class ErrorList:
    """The errors of a TOML file, gathered and raised together."""

    file: str
    text: str
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: Sequence[str | int], message: str) -> None:
        """Notes what is wrong with the value at a path."""
        self.found.append((self.line_of(path), message))

    def line_of(self, path: KeyPath) -> int:
        """The line (from 1) on which the value at a path begins; for a path that is not there, its nearest parent's.

        >>> ErrorList("jobs.toml", '[budget]\\nhours = 8').line_of(("budget", "hours"))
        2
        """
        parents = (tuple(path[:end]) for end in range(len(path), 0, -1))
        return next((self._lines[one] for one in parents if one in self._lines), 1)

    @cached_property
    def _lines(self) -> dict[tuple[Key, ...], int]:
        return lines_by_path(self.text)

    def raise_if_any(self) -> None:
        """Raises Misuse with one line for each complaint, in the order of the file."""
        if self.found:
            lines = [f"{self.file}:{line}: {message}" for line, message in sorted(set(self.found))]
            raise Misuse("\n".join(lines), code="AT501")


@dataclass
class Section:
    """A table at a path of the file; every key that is asked for is known, the others are complained about."""

    complaints: ErrorList
    path: tuple[str | int, ...]
    values: dict[str, Any]
    known: set[str] = field(default_factory=set)

    def get(self, key: str, kind: type[T], default: T) -> T:
        """The value of a key, the default where it is absent or of another type."""
        self.known.add(key)
        value = self.values.get(key, default)
        if value is default:
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.error(key, f"{key} is {_TYPE_NAMES[kind]}; found {value!r}")
            return default
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts."""
        values = self.get(key, list, list(default))
        if not all(isinstance(value, str) for value in values):
            self.error(key, f"{key} is a list of texts; found {values!r}")
            return default
        return tuple(values)

    def positive(self, key: str, kind: type[T]) -> T | None:
        """A finite number above zero, None where it is absent."""
        value = self.get(key, kind, None)
        if value is not None and not 0 < value < math.inf:  # type: ignore[operator]
            self.error(key, f"{key} is positive and finite; found {value}")
            return None
        return value

    def whole(self, key: str, default: int, allowed: range) -> int:
        """A whole number within bounds, the default where it is absent."""
        value = self.get(key, int, default)
        if value not in allowed:
            self.error(key, f"{key} is from {allowed[0]} to {allowed[-1]}; found {value}")
            return default
        return value

    def section(self, key: str) -> Section:
        """The table under a key, empty where there is none."""
        return Section(self.complaints, (*self.path, key), self.get(key, dict, {}))

    def sections(self, key: str) -> Iterator[Section]:
        """The tables of a list of tables."""
        for number, values in enumerate(self.get(key, list, [])):
            path = (*self.path, key, number)
            if isinstance(values, dict):
                yield Section(self.complaints, path, values)
            else:
                self.complaints.add(path, f"{key} is a list of tables, written [[{key}]]; found {values!r}")

    def error(self, key: str | None, message: str) -> None:
        """Notes what is wrong with a key, or with the table as such."""
        self.complaints.add(self.path if key is None else (*self.path, key), message)

    def reject_unknown_keys(self) -> None:
        """Notes the keys that nobody asked for."""
        for key in set(self.values) - self.known:
            near = difflib.get_close_matches(key, self.known, n=1)
            initial = (
                f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(self.known))}"
            )
            self.error(key, f"unknown key {key!r}; {initial}")


def read_section(path: Path) -> Section:
    """The top of a TOML file. Raises Misuse where there is no such file or it is not TOML, with the line."""
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise Misuse(f"expected a TOML file that can be read, found {path}: {error}", code="AT501") from error
    try:
        values = tomllib.loads(text)
        _check_numbers(values)
    except tomllib.TOMLDecodeError as error:
        line, message = _position(str(error), text)
        raise Misuse(f"{path}:{line}: {message}", code="AT501") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
        raise Misuse(f"expected a TOML file that can be read, found {path}: {error}", code="AT501") from error
    return Section(ErrorList(str(path), text), (), values)


def _check_numbers(value: object) -> None:
    """Raises ValueError for whole numbers beyond the 64 bits that TOML has for them."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError("a whole number of more than 64 bits")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(one)


def _position(message: str, text: str) -> tuple[int, str]:
    """The line of a syntax error, and what it is, out of "… (at line 3, column 5)"."""
    what, _, where = message.rpartition(" (at ")
    words = where.replace(",", "").rstrip(")").split()
    if words[:1] == ["line"]:
        return int(words[1]), f"column {words[3]}: {what[0].lower()}{what[1:]}"
    return max(len(text.splitlines()), 1), f"at the end of the file: {what[0].lower()}{what[1:]}"
