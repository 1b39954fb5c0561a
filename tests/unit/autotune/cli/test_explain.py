"""Error codes: printed with each error, and explained by a command."""

from __future__ import annotations

import ast
import errno
import json
import pickle

import pytest
from repository import ROOT
from typer.testing import CliRunner

from autotune.cli import main
from autotune.cli.error_codes import AREAS, read_error_codes
from search_spaces import AutotuneError, IllegalSchedule, Misuse
from search_spaces.errors import StorageError

CODES = read_error_codes()


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, ["explain", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def failed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of a command line."""
    monkeypatch.setattr(main.sys, "argv", ["autotune", *arguments])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_code_is_explained_in_capitals_or_not() -> None:
    text = shown("at101")
    assert all(part in text for part in ("AT101", CODES["AT101"].why, CODES["AT101"].remedy))
    assert json.loads(shown("AT101", "--json"))["title"] == CODES["AT101"].title


def test_all_codes_are_listed_by_area() -> None:
    text = shown()
    assert all(code in text and one.title in text for code, one in CODES.items())
    assert all(area in text for area in AREAS.values())
    assert [one["code"] for one in json.loads(shown("--json"))] == list(CODES)


def test_codes_are_well_formed_and_in_order() -> None:
    assert list(CODES) == sorted(CODES)
    for code, one in CODES.items():
        assert len(code) == 5 and code.startswith("AT") and one.area
        assert one.title and not one.title.endswith(".")
        assert one.why.endswith(".") and one.remedy.endswith(".")


def test_an_unknown_code_is_misuse_with_suggestions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed(monkeypatch, "explain", "AT1O1") == 2
    assert "did you mean one of" in (error := capsys.readouterr().err)
    assert "AT101" in error


def test_an_error_is_printed_with_its_code_and_where_to_read_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise AutotuneError("expected a disk, found none", code="AT803")

    monkeypatch.setattr(main, "app", fail)
    assert failed(monkeypatch, "build") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error[AT803]: expected a disk, found none"
    assert "autotune explain AT803" in lines[1]
    assert failed(monkeypatch, "build", "--json") == 1
    written = capsys.readouterr().err
    assert json.loads(written) == {"error": {"code": "AT803", "message": "expected a disk, found none"}}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "expected the system to do as asked, found: Too many open files",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
            "expected the system to do as asked, found at /tmp/x: No space left on device",
        ),
        (
            FileNotFoundError("No usable temporary directory found"),
            "expected the system to do as asked, found: No usable temporary directory found; "
            "name a folder that can be written to with the variable TMPDIR",
        ),
        (
            MemoryError(),
            "expected memory to work with, found that the system grants no more: MemoryError; "
            "raise the limit, or use a machine with more",
        ),
    ],
)
def test_what_the_system_refuses_is_an_error_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, told: str
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    assert failed(monkeypatch, "build") == 1
    assert capsys.readouterr().err.splitlines()[0] == f"error[AT807]: {told}"


def test_a_code_survives_the_way_between_processes() -> None:
    for error in (
        Misuse("wrong", code="AT101"),
        IllegalSchedule("too large"),
        StorageError("full", code="AT202"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, str(again)) == (type(error), error.code, str(error))
    assert IllegalSchedule("too large").code == "AT601"


ERRORS = ("AutotuneError", "Misuse", "StorageError", "StorageRefused", "StorageUnreachable")


def raise_sites() -> dict[str, str | None]:
    """The code that each place names where an error is made, by "file:line"."""
    found: dict[str, str | None] = {}
    for package in ("autotune", "cost_models", "search_spaces", "tuning_logs"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                    codes = [one.value for one in node.keywords if one.arg == "code"]
                    code = codes[0].value if codes and isinstance(codes[0], ast.Constant) else None
                    found[f"{file.relative_to(ROOT)}:{node.lineno}"] = code
    return found


def test_every_error_that_is_made_names_a_registered_code() -> None:
    unknown = [place for place, code in raise_sites().items() if code not in CODES]
    assert not unknown, f"add code= with a code of autotune/cli/error_codes.toml at {unknown}"


def test_every_registered_code_is_named_somewhere() -> None:
    own = {AutotuneError.code, IllegalSchedule.code}
    assert set(CODES) == {*raise_sites().values(), *own}
