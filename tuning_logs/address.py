"""Addresses of logs: paths of files, or URLs of databases."""

from __future__ import annotations

from tuning_logs.file.log import TuningLog
from tuning_logs.record_store import RecordStore


def open_log(where: str) -> RecordStore:
    """Opens what a path or a URL (`postgresql://…`, `sqlite:///…`) leads to, for reading and appending.

    Raises Misuse and AutotuneError as `TuningLog.open` and `SqlLog.open` do.
    """
    return _shared(where) if is_url(where) else TuningLog.open(where)


def read_log(where: str) -> RecordStore:
    """Opens a log for reading; a file must exist, and is not written to."""
    return _shared(where) if is_url(where) else TuningLog.read(where)


def is_url(where: str) -> bool:
    """Whether that names a database rather than a file."""
    return "://" in where


def _shared(url: str) -> RecordStore:
    from tuning_logs.sql.sql_log import (
        SqlLog,  # SQLAlchemy takes half a second to load, and only this needs it
    )

    return SqlLog.open(url)
