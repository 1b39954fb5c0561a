"""Any text in any place of the command line's output is shown as it is, and no terminal obeys it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profiles import examples
from literal_texts import HOSTILE_TEXTS, literal_status, obeyed_characters

from autotune.cli import main
from autotune.cli.console import LiteralConsole, note, print_json, tell, warn
from autotune.cli.job_view import print_status, print_tables, print_warnings, summary
from autotune.cli.progress import LineProgress, TuningProgress
from autotune.cli.rows import Format, print_rows
from autotune.cli.tables import TableView, print_table
from autotune.jobs.job_round import JobRound
from autotune.jobs.status_tables import device_table, model_table, task_table
from autotune.jobs.table import Column, Table
from search_spaces import AutotuneError, Misuse
from search_spaces.printable_text import one_line, printable

# What Rich writes itself: colours, and moves of a live table.
_RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def _words(text: str) -> str:
    return " ".join(text.split())


def _output(show: Callable[[], object]) -> str:
    """What a call prints on both streams."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
        show()
    return text.getvalue()


@examples(100)
@given(HOSTILE_TEXTS)
@pytest.mark.parametrize("show", [tell, note, warn], ids=["result", "remark", "warning"])
def test_a_line_is_one_line(show: Callable[[str], None], text: str) -> None:
    shown = _output(lambda: show(f"name {text}."))
    assert shown == one_line(f"name {text}.") + "\n"
    assert not obeyed_characters(shown)


@examples(60)
@given(HOSTILE_TEXTS)
def test_a_job_is_shown_as_it_is_named(text: str) -> None:
    status = literal_status(text)
    for show in (print_status, print_tables, print_warnings):
        shown = _output(lambda show=show: show(status))
        assert not obeyed_characters(shown)
        assert _words(one_line(f"warning {text}" if show is print_warnings else f"task {text}")) in _words(
            shown
        )


@examples(60)
@given(HOSTILE_TEXTS, st.integers(1, 300))
def test_tables_of_any_width_hold_any_text(text: str, width: int) -> None:
    status = literal_status(text)
    file = io.StringIO()
    console = LiteralConsole(file=file, width=width, force_terminal=True, color_system=None)
    for table in (task_table(status), model_table(status), device_table(status)):
        console.print(TableView(table))
    assert not obeyed_characters(file.getvalue())


@examples(60)
@given(HOSTILE_TEXTS)
def test_columns_titles_and_cells_are_texts(text: str) -> None:
    shown = _output(lambda: print_table(Table(text, (Column(text, 1),), ((text,),))))
    assert not obeyed_characters(shown)
    assert shown.count("\n") == 3 + bool(text)


@examples(60)
@given(HOSTILE_TEXTS)
@pytest.mark.parametrize("format", Format)
def test_rows_are_texts_in_every_format(format: Format, text: str) -> None:
    shown = _output(lambda: print_rows(format, text, [{"task": text, "facts": {text: text}}], ("task",)))
    assert not obeyed_characters(shown)
    if format is Format.JSON:
        assert json.loads(shown)["rows"][0]["task"] == text


@examples(60)
@given(HOSTILE_TEXTS)
def test_json_is_ascii_and_holds_the_text(text: str) -> None:
    shown = _output(lambda: print_json({text: [text]}))
    assert shown.isascii()
    assert json.loads(shown) == {text: [text]}


@pytest.fixture
def tracebacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the tracebacks of unforeseen errors out of the machine's folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.usefixtures("tracebacks")
@examples(60)
@given(HOSTILE_TEXTS)
@pytest.mark.parametrize("arguments", [["tune"], ["tune", "--json"]], ids=["text", "json"])
@pytest.mark.parametrize("kind", [AutotuneError, Misuse, ValueError, OSError])
def test_an_error_is_told_as_it_is(kind: type[Exception], arguments: list[str], text: str) -> None:
    def fail(**_: object) -> None:
        raise kind(f"found {text}")

    with mock.patch.object(main, "app", fail), mock.patch.object(sys, "argv", ["autotune", *arguments]):
        shown = _output(main.main)
    assert not obeyed_characters(shown)
    if "--json" in arguments:
        assert set(json.loads(shown)["error"]) == {"code", "message"}
    elif kind is Misuse:
        assert printable(f"found {text}") in shown


@examples(40)
@given(HOSTILE_TEXTS)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_shows_any_names(is_terminal: bool, text: str) -> None:
    status = literal_status(text)
    file = io.StringIO()
    console = LiteralConsole(file=file, width=100, force_terminal=is_terminal)
    with mock.patch.dict("os.environ", {"TERM": "xterm"}), TuningProgress(console) as progress:
        progress.update(status, JobRound(f"searching {text}"))
    LineProgress(console).show(summary(status))
    assert not obeyed_characters(_RICH.sub("", file.getvalue()))
