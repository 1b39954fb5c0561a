"""The database under a team's store: how it is reached, brought up to date, written to, and what goes wrong."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from search_spaces.errors import AutotuneError, Misuse, StorageError, StorageRefused, StorageUnreachable

#: What a database is asked by, by what the address starts with.
_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "sqlite": "sqlite",
}
#: One number for every store, by which those who migrate a PostgreSQL database at once wait for each other.
_MIGRATING: Final = 0x6175746F74756E65
_TRIES: Final = 5
_BUSY_SECS: Final = 60
_CONNECT_SECS: Final = 10
#: SQLSTATEs of PostgreSQL: connections, operators that stop it, too many clients.
_AWAY: Final = ("08", "57P", "53300")
_MIGRATIONS: Final = Path(__file__).with_name("migrations")
#: Of values; those without a class of SQLAlchemy come from the drivers: numbers out of range, text that is no Unicode.
_REFUSED: Final = (DataError, IntegrityError, OverflowError, UnicodeEncodeError)
_T = TypeVar("_T")


class SqlStore:
    """A database with the tables of a folder of migrations, those of `sql_tables` by default.

    version_table: where the database keeps which of the migrations were made.
    Every error comes out without the password: as StorageUnreachable where the database may answer later, as
    StorageRefused where it takes these values at no time, else as StorageError.
    """

    def __init__(
        self, url: str, migrations: Path = _MIGRATIONS, version_table: str = "alembic_version"
    ) -> None:
        """Raises Misuse where the address is none of a database that is known."""
        self._migrations, self._version_table = migrations, version_table
        try:
            address = sqlalchemy.make_url(url)
        except (ArgumentError, ValueError):  # ports that are no number
            address = None
        if address is None or address.drivername not in _DRIVERS:
            # Whatever the address is, it may hold a password.
            scheme = url.partition(":")[0][:20]
            raise Misuse(
                f"expected postgresql://user@host/database or sqlite:///file, found an address that starts "
                f"with {scheme!r}",
                code="AT209",
            )
        self.name = address.render_as_string(hide_password=True)
        address = address.set(drivername=_DRIVERS[address.drivername])
        options = {"timeout": _BUSY_SECS} if address.drivername == "sqlite" else {}
        if address.drivername != "sqlite" and "connect_timeout" not in address.query:
            options = {"connect_timeout": _CONNECT_SECS}
        try:
            self.engine = sqlalchemy.create_engine(address, pool_pre_ping=True, connect_args=options)
        except (ImportError, NoSuchModuleError, SQLAlchemyError) as error:
            raise Misuse(f"expected to reach {self.name}, found: {_reason(error)}", code="AT210") from error
        self._opened: tuple[Path, os.stat_result] | None = None
        if self.engine.dialect.name == "sqlite":
            sqlalchemy.event.listen(self.engine, "connect", _read_while_written)

    def migrate(self) -> None:
        """Makes the tables, or brings those of an earlier version up to date.

        Raises AutotuneError where a later version made them.
        """
        config = Config()
        config.set_main_option("script_location", str(self._migrations).replace("%", "%%"))
        head = ScriptDirectory.from_config(config).get_current_head()
        with self.guarded():
            self._bring_up_to(head, config)
        self._opened = _file_of(self.engine.url)

    def _bring_up_to(self, head: str | None, config: Config) -> None:
        with self.engine.connect() as connection:
            options = {"version_table": self._version_table}
            if MigrationContext.configure(connection, opts=options).get_current_revision() == head:
                return
            connection.rollback()
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_MIGRATING)))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise AutotuneError(
                    f"expected a store of schema {head} or earlier in {self.name}, found: {error}; use a newer "
                    f"version of autotune",
                    code="AT205",
                ) from error
            connection.commit()

    def write(self, action: Callable[[sqlalchemy.Connection], _T]) -> _T:
        """Runs an action in one transaction, again where another writer was in its way."""
        with self.guarded():
            for left in range(_TRIES - 1, -1, -1):
                try:
                    with self.engine.begin() as connection:
                        return action(connection)
                except DBAPIError as error:
                    if not left or not _was_in_the_way(error):
                        raise
                    time.sleep(0.05 * (_TRIES - left))
        raise AssertionError("unreachable: the last try returns or raises")

    def rows(self, query: sqlalchemy.Select[Any]) -> list[sqlalchemy.Row[Any]]:
        """The rows of a query."""
        with self.guarded(), self.engine.connect() as connection:
            return list(connection.execute(query))

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Turns what the database complains of into StorageError, or into what it is of its kinds."""
        if self._opened is not None and not _is_there(*self._opened):
            raise StorageError(
                f"expected {self.name} to be the database that was opened, found that the file was removed or "
                "replaced; put it back, or start again with another",
                code="AT210",
            )
        try:
            yield
        except _REFUSED as error:
            raise StorageRefused(
                f"expected {self.name} to keep what it was given, found: {_reason(error)}", code="AT809"
            ) from error
        except SQLAlchemyError as error:
            kind = StorageUnreachable if _may_pass(error) else StorageError
            raise kind(
                f"expected {self.name} to do as asked, found: {_reason(error)}; see that it is running, that it "
                f"may be written to, and that there is room",
                code="AT210",
            ) from error


def _read_while_written(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _was_in_the_way(error: DBAPIError) -> bool:
    """Whether another transaction was: a deadlock or a conflict (PostgreSQL), a locked file (SQLite)."""
    state = getattr(error.orig, "sqlstate", None)
    return state in ("40001", "40P01") or "database is locked" in str(error.orig)


def _may_pass(error: Exception) -> bool:
    """Whether the database did not answer, is about to stop or was locked, rather than refused."""
    if not isinstance(error, OperationalError):
        return isinstance(error, DBAPIError) and error.connection_invalidated
    busy = getattr(error.orig, "sqlite_errorcode", None)
    if busy is not None:
        return busy & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith(_AWAY)


def _file_of(url: sqlalchemy.URL) -> tuple[Path, os.stat_result] | None:
    """The file of a database and which one it is; None where it is no file with a plain path."""
    name = url.database if url.drivername == "sqlite" else None
    if not name or name.startswith((":memory:", "file:")):
        return None
    path = Path(name).absolute()
    return path, path.stat()


def _is_there(path: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), opened)
    except OSError:
        return False


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
