"""Addresses of logs and databases that a file names: their paths lead from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as st

from search_spaces import Misuse
from tuning_logs.address import anchored, relative, without_password

FOLDERS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and "\n" not in name)


@given(FOLDERS, st.sampled_from(["sqlite:///", "sqlite+pysqlite:///"]))
@example("a b%20c#d?e[é]~", "sqlite:///")
@example("~", "sqlite:///")
@example("-", "sqlite:///")
def test_files_of_databases_lead_from_the_folder_whatever_it_is_called(name: str, scheme: str) -> None:
    folder = Path("/jobs") / name
    url = anchored(f"{scheme}my%20log.db?timeout=5", folder)
    assert sqlalchemy.make_url(url).database == f"{folder}/my log.db"
    assert dict(sqlalchemy.make_url(url).query) == {"timeout": "5"}
    assert relative(url, folder) == f"{scheme}my%20log.db?timeout=5"
    assert anchored(url, Path("/other")) == url


def test_a_database_under_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(Misuse, match="UTF-8"):
        anchored("sqlite:///x.db", Path("/caf\udce9"))
    assert anchored("x.jsonl", Path("/caf\udce9")) == "/caf\udce9/x.jsonl"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x.db?uri=true",
        "sqlite:////abs/x.db",
        "postgresql://ann:pw@host/a/b",
        "redis://host",
    ],
)
def test_what_is_no_relative_file_stays_as_it_is(url: str) -> None:
    assert anchored(url, Path("/jobs")) == url


def test_paths_lead_from_the_folder_or_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert anchored("log.jsonl", Path("/jobs")) == "/jobs/log.jsonl"
    assert anchored("/log.jsonl", Path("/jobs")) == "/log.jsonl"
    assert anchored("~/log.jsonl", Path("/jobs")) == "/home/ann/log.jsonl"
    assert anchored("~log.jsonl", Path("/jobs")) == "/jobs/~log.jsonl"
    assert anchored("sqlite:///~/x.db", Path("/jobs")) == "sqlite:////home/ann/x.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h/db", "postgresql://u@h/db"),
        ("postgresql://u:s:e/c?r#et@h:5432/db", "postgresql://u@h:5432/db"),
        ("postgresql+psycopg://u:secret@h/db?sslmode=require", "postgresql+psycopg://u@h/db?sslmode=require"),
        ("postgresql://u@h/db?password=secret", "postgresql://u@h/db"),
        ("postgresql://u@h/db?sslpassword=secret&sslmode=allow", "postgresql://u@h/db?sslmode=allow"),
        ("https://u:secret@h/hook", "https://u@h/hook"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
        ("a:b@c.jsonl", "a:b@c.jsonl"),
    ],
)
def test_a_shown_address_has_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert without_password(shown) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@/?#"), min_size=8))
def test_no_password_is_left_of_any(password: str) -> None:
    assert without_password(f"postgresql://u:{password}@host/db") == "postgresql://u@host/db"
