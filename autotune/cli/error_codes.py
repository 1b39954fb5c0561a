"""The registry of error codes: the cause of each and its remedy, from error_codes.toml."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources

import msgspec

from search_spaces import Misuse

#: The areas of codes by their first digit.
AREAS = {
    "0": "Others",
    "1": "Models",
    "2": "Logs",
    "3": "Cost models",
    "4": "Devices",
    "5": "Jobs",
    "6": "Search",
    "7": "Builds",
    "8": "Machine and command line",
    "9": "Service",
}


class ErrorCode(msgspec.Struct, frozen=True, kw_only=True):
    """A stable code with its title, the cause, and the remedy."""

    code: str
    title: str
    why: str
    remedy: str

    @property
    def area(self) -> str:
        """The area of the code."""
        return AREAS[self.code[2]]


def read_error_codes() -> dict[str, ErrorCode]:
    """Reads the registry: all codes in their order."""
    text = resources.files("autotune.cli").joinpath("error_codes.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {code: ErrorCode(code=code, **table) for code, table in tables.items()}


def find_error_code(text: str) -> ErrorCode:
    """The code that a user names, in capitals or not. Raises Misuse with similar codes where there is none."""
    codes = read_error_codes()
    wanted = text.strip().upper()
    if wanted in codes:
        return codes[wanted]
    near = ", ".join(difflib.get_close_matches(wanted, codes, n=3, cutoff=0.5))
    hint = f"did you mean one of {near}?" if near else "autotune explain lists all"
    raise Misuse(f"expected an error code such as AT101, found {text!r}; {hint}", code="AT806")
