"""The file of a comparison: what is written is read, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comparison_fixtures import make_comparison, make_row

from autotune.comparison.fastest import fastest
from autotune.comparison.result import Row
from autotune.comparison.result_file import read_comparison, write_comparison
from search_spaces import Misuse
from search_spaces.errors import StorageError

COMPARISON = make_comparison(
    [
        make_row("autotune", [0.0031, 0.0030, 0.0029] * 4),
        make_row("onnxruntime", [0.0021, 0.0020, 0.0019] * 4),
        Row("net", "local", "openvino", reason="it is not installed", code="AT802"),
        Row("other", "local", "autotune", reason="TVM cannot import it", code="AT106"),
    ],
    {"local": 0.17},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "comparison.json"
    write_comparison(path, COMPARISON)
    assert read_comparison(path) == COMPARISON
    assert [one.name for one in path.parent.iterdir()] == ["comparison.json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(schema=2),
        lambda found: found.pop("rows"),
        lambda found: found["rows"][0]["measured"].update(mean_secs=0.0),
        lambda found: found["rows"][0]["measured"].update(run_secs=[]),
        lambda found: found["rows"][0]["measured"].update(run_secs=["fast"]),
    ],
)
def test_another_document_is_refused(change: object, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    write_comparison(path, COMPARISON)
    document = json.loads(path.read_text())
    change(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))
    with pytest.raises(Misuse, match="expected a comparison that autotune compare wrote"):
        read_comparison(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_damage_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_bytes(content)
    with pytest.raises(Misuse, match="is none"):
        read_comparison(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="No such file"):
        read_comparison(tmp_path / "none.json")
    with pytest.raises(StorageError, match="could not be written"):
        write_comparison(tmp_path, COMPARISON)


def test_the_fastest_engine_is_named_whether_ours_or_not() -> None:
    first, second = fastest(COMPARISON)
    assert (first.engine, first.next_engine, first.is_clear) == ("onnxruntime", "autotune", True)
    assert first.ratio == pytest.approx(1.5)
    assert (second.model, second.engine) == ("other", None)


def test_wrong_outputs_win_nothing() -> None:
    rows = [make_row("autotune", [0.003]), make_row("wrong", [0.001])]
    rows[1] = Row("net", "local", "wrong", rows[1].measured, mistake="output 0 is off", is_checked=True)
    [found] = fastest(make_comparison(rows))
    assert (found.engine, found.next_engine) == ("autotune", None)


def test_an_edited_comparison_is_read_and_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    write_comparison(path, COMPARISON)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b",\r\n"))
    assert read_comparison(path) == COMPARISON
    with pytest.raises(Misuse, match="more than 16 MiB"):
        read_comparison("/dev/zero")
