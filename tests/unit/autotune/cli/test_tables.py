"""Tables in terminals of several widths and in a pipe, and texts that look like markup."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from literal_texts import LITERAL, literal_status
from repository import GOLDEN
from typer.testing import CliRunner

from autotune.cli import console as command_line
from autotune.cli import main
from autotune.cli.rows import Format, print_rows
from autotune.cli.tables import TableView, fit, shorten
from autotune.jobs.status_file import write_status
from autotune.jobs.status_tables import device_table, model_table, offer_table, task_table
from autotune.jobs.table import Cell, Column, Table
from search_spaces import Misuse

ROWS: tuple[tuple[Cell, ...], ...] = (
    (
        "fused_conv2d_add_relu_max_pool_17_with_a_long_name",
        "12",
        "1024",
        0.875,
        "12.3 ms",
        "1.23 ms",
        "tuned",
    ),
    (f"{LITERAL}\nin two lines", "1", "0", 0.125, "–", "–", "untuned: no record of this device"),
)
TABLE = Table(
    "A job: searching",
    (
        Column("task", 9, 20),
        Column("calls", 2),
        Column("trials", 4),
        Column("share", 6),
        Column("default", 3),
        Column("best", 8),
        Column("the build uses", 5, 16),
    ),
    ROWS,
)
WIDTHS = (40, 80, 120, 300, None)


def printed(table: Table, width: int | None) -> str:
    """The table on a terminal of that width, None for a pipe."""
    text = io.StringIO()
    is_terminal = width is not None
    console = command_line.LiteralConsole(
        file=text, width=width or 80, force_terminal=is_terminal, color_system=None
    )
    console.print(TableView(table))
    return text.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_looks_as_it_always_did(width: int | None) -> None:
    golden = GOLDEN / "tables" / f"{width or 'pipe'}.txt"
    assert printed(TABLE, width) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_row_of_a_terminal_is_wider_than_it_and_none_is_wrapped(width: int) -> None:
    status = literal_status()
    offers = offer_table(status)
    assert offers is not None
    for table in (TABLE, task_table(status), model_table(status), offers, device_table(status)):
        lines = printed(table, width).splitlines()
        rows = [line for line in lines[1:] if not line.startswith("columns left out")]
        assert len(rows) == 2 + len(table.rows)
        assert max(map(len, rows)) <= width


def test_a_pipe_gets_every_column_whole_and_a_row_a_line() -> None:
    lines = printed(TABLE, None).splitlines()
    assert len(lines) == 3 + len(ROWS)
    assert all(column.name in lines[1] for column in TABLE.columns)
    assert f"{LITERAL} in two lines" in lines[4]
    assert "untuned: no record of this device" in lines[4]
    assert "columns left out" not in lines[-1]


def test_the_least_important_columns_are_left_out_first() -> None:
    texts = [["name", "1" * 10, "2" * 10, "3" * 10]]
    columns = (Column("task", 0), Column("a", 1), Column("b", 3), Column("c", 2))
    kept = {width: fit(columns, texts, width).kept for width in (100, 30, 20, 10)}
    assert kept == {100: (0, 1, 2, 3), 30: (0, 2, 3), 20: (0, 2), 10: (0,)}


def test_names_are_shortened_in_the_middle() -> None:
    assert shorten("conv2d_add_relu_17", 9) == "conv…u_17"
    assert shorten("short", 9) == "short"
    assert [len(shorten("conv2d_add_relu_17", width)) for width in (1, 2, 3)] == [1, 2, 3]


def test_rows_of_a_log_say_by_their_order_what_a_narrow_terminal_leaves_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"task": "matmul", "key": "0123456789abcdef", "best_secs": 0.001, "failures": {"run_error": 2}}]
    print_rows(Format.TABLE, "a log", rows, ("task", "best_secs"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["task", "key", "best", "failures"]
    assert lines[3].split() == ["matmul", "0123456789ab", "1", "ms", "run_error", "2"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_names_that_look_like_markup_are_printed_as_they_are(is_terminal: bool) -> None:
    text = io.StringIO()
    console = command_line.LiteralConsole(file=text, width=300, force_terminal=is_terminal)
    status = literal_status()
    for table in (task_table(status), model_table(status), device_table(status)):
        console.print(TableView(table))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue())
    for kind in ("job", "task", "model", "device", "trouble", "fact"):
        assert f"{kind} {LITERAL}" in plain, kind


def test_a_status_names_everything_as_it_is(tmp_path: Path) -> None:
    write_status(tmp_path, literal_status())
    done = CliRunner().invoke(main.app, ["status", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for text in ("job", "task", "model", "warning", "trouble", "error", "failed:"):
        assert f"{text} {LITERAL}" in done.output, text


def test_an_error_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise Misuse(f"expected a model, found {LITERAL}")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit):
        main.main()
    assert f"expected a model, found {LITERAL}" in capsys.readouterr().err


def test_results_and_errors_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    for console in (command_line.OUT, command_line.ERR):
        console.print(f"{LITERAL} :smile: 17")
    command_line.warn(LITERAL)
    assert capsys.readouterr() == (f"{LITERAL} :smile: 17\n", f"{LITERAL} :smile: 17\n{LITERAL}\n")
