"""Addresses of logs: paths of files, or URLs of databases."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from search_spaces.errors import Misuse
from tuning_logs.file.log import TuningLog
from tuning_logs.record_store import RecordStore

#: The URL of an SQLite file: the scheme, the path with percent escapes, the options.
_SQLITE: Final = re.compile(r"(sqlite(?:\+\w+)?:///)([^?]+)(.*)", re.DOTALL)
#: What stands before the host of a URL: up to the last @ of its authority, or up to the first one after it.
_PASSWORD: Final = re.compile(r"(://[^:/@?#]*):(?:[^/?#]*|[^@]*)@")
_PASSWORD_OPTION: Final = re.compile(r"(?<=[?&])[^=&#]*password[^=&#]*=[^&#]*&?", re.IGNORECASE)
# Databases without a file, and names that SQLite reads by rules of its own.
_NO_PATH: Final = (":memory:", "file:")


def open_log(where: str) -> RecordStore:
    """Opens what a path or a URL (`postgresql://…`, `sqlite:///…`) leads to, for reading and appending.

    Raises Misuse and AutotuneError as `TuningLog.open` and `SqlLog.open` do.
    """
    return _shared(where) if is_url(where) else TuningLog.open(where)


def read_log(where: str) -> RecordStore:
    """Opens a log for reading; a file must exist, and is not written to.

    Raises Misuse and AutotuneError as `TuningLog.read` and `SqlLog.open` do.
    """
    return _shared(_for_reading(where)) if is_url(where) else TuningLog.read(where)


def is_url(where: str) -> bool:
    """Whether that names a database rather than a file."""
    return "://" in where


def without_password(where: str) -> str:
    """An address to be shown or kept: without the password of a URL, which ~/.pgpass or PGPASSWORD can give."""
    if not is_url(where):
        return where
    return _PASSWORD_OPTION.sub("", _PASSWORD.sub(r"\1@", where, count=1)).rstrip("?&")


def anchored(where: str, folder: Path) -> str:
    """An address that a file in a folder names: a relative path in it leads from that folder, `~/` from the home.

    Raises Misuse for a database under a name that is not UTF-8, which no URL can hold.
    """
    return _with_path(
        where, lambda path: str(folder / (os.path.expanduser(path) if path.startswith("~/") else path))
    )


def relative(where: str, folder: Path) -> str:
    """An address as a file in a folder names it, for `anchored`: a path in it leads from that folder."""
    return _with_path(where, lambda path: _relative(path, folder))


def _for_reading(url: str) -> str:
    """The URL of an SQLite file that must exist, opened without a write where its folder takes none."""
    found = _SQLITE.fullmatch(url)
    if found is None or found[2].startswith(_NO_PATH):
        return url
    path = unquote(found[2])
    if not os.path.isfile(path):
        raise Misuse(f"expected a tuning log at {path}, found no such file; name another", code="AT201")
    if os.access(os.path.dirname(path) or ".", os.W_OK) and os.access(path, os.W_OK):
        return url
    # SQLite would put files beside it for readers; only where there are none already can it do without.
    rule = "mode=ro" if os.path.exists(f"{path}-wal") else "immutable=1"
    # Escaped twice: once for the URL, once for SQLite.
    return f"{found[1]}file:{quote(quote(os.path.abspath(path)))}?uri=true&{rule}"


def _with_path(where: str, change: Callable[[str], str]) -> str:
    if not is_url(where):
        return change(where)
    found = _SQLITE.fullmatch(where)
    if found is None or found[2].startswith(_NO_PATH):
        return where
    path = change(unquote(found[2]))
    try:
        return f"{found[1]}{quote(path)}{found[3]}"
    except UnicodeEncodeError as error:
        raise Misuse(
            f"expected a database under a name in UTF-8, found {os.fsencode(path)!r}; rename its folder, or use a "
            "file as log",
            code="AT209",
        ) from error


def _relative(path: str, folder: Path) -> str:
    inside = os.path.relpath(path, folder)
    if os.pardir not in (*Path(path).parts, *Path(inside).parts):
        return f"./{inside}" if inside.startswith("~/") else inside
    # `..` leads up from where a folder is in truth, whichever links lead to it.
    parent, name = os.path.split(path)
    return os.path.relpath(os.path.join(os.path.realpath(parent), name), os.path.realpath(folder))


def _shared(url: str) -> RecordStore:
    from tuning_logs.sql.sql_log import (
        SqlLog,  # SQLAlchemy takes half a second to load, and only this needs it
    )

    return SqlLog.open(url)
