"""Databases that go or do not answer: what may pass is told from what does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from autotune.testing.records import make_record
from search_spaces.errors import Misuse, StorageError, StorageUnreachable
from tuning_logs import open_log, read_log
from tuning_logs.sql import sql_store
from tuning_logs.sql.sql_log import SqlLog


@pytest.mark.parametrize("fault", ["deleted", "replaced"])
def test_a_file_that_goes_under_an_open_database_is_told(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "store.db"
    with SqlLog.open(f"sqlite:///{path}") as log:
        log.append([make_record(0)])
        path.rename(tmp_path / "away")
        if fault == "replaced":
            SqlLog.open(f"sqlite:///{path}").close()
        with pytest.raises(StorageError, match="removed or replaced") as found:
            log.append([make_record(1)])
        assert not isinstance(found.value, StorageUnreachable)
        with pytest.raises(StorageError, match="removed or replaced"):
            log.best(make_record(0).task)


def test_a_locked_database_may_answer_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_store, "_BUSY_SECS", 0.01)
    path = tmp_path / "store.db"
    with SqlLog.open(f"sqlite:///{path}") as log, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnreachable, match="locked"):
            log.append([make_record(0)])
        other.rollback()
        log.append([make_record(0)])


def test_a_full_disk_does_not_pass_by_waiting(tmp_path: Path) -> None:
    with SqlLog.open(f"sqlite:///{tmp_path}/store.db") as log:

        def limit(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute("PRAGMA max_page_count=1")

        sqlalchemy.event.listen(log._store.engine, "connect", limit)
        log._store.engine.dispose()
        with pytest.raises(StorageError, match="full") as found:
            log.append([make_record(number) for number in range(300)])
        assert not isinstance(found.value, StorageUnreachable)
        assert len(log) == 0


class Refused(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("refused")
        self.sqlstate = sqlstate


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=5, max_size=5))
def test_states_of_connections_pass_and_others_do_not(state: str) -> None:
    for away in ("08006", "57P01", "57P03", "53300", None):
        assert sql_store._may_pass(OperationalError("", {}, Refused(away)))
    is_away = state.startswith(("08", "57P", "53300"))
    assert sql_store._may_pass(OperationalError("", {}, Refused(state))) == is_away


def test_a_database_that_is_not_there_is_not_made_by_reading_it(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no such file"):
        read_log(f"sqlite:///{tmp_path}/my%20log.db")
    assert not list(tmp_path.iterdir())
    with open_log(f"sqlite:///{tmp_path}/my%20log.db") as log:
        log.append([make_record(0)])
    assert len(read_log(f"sqlite:///{tmp_path}/my%20log.db")) == 1
