"""Outputs that cannot be written are refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotune.cli.output_place import require_file_place, require_folder_place
from search_spaces.errors import Misuse, StorageError


def test_a_place_is_left_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("old")
    require_file_place(old, "--output")
    require_file_place(tmp_path / "new" / "file.json", "--output")
    require_folder_place(tmp_path / "other" / "folder", "--output")
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "new", "old.json", "other"]


@pytest.mark.parametrize("name", ["old.json/below/file", f"{'n' * 300}.json", "/proc/nothing/at/all"])
def test_what_takes_no_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("old")
    for require in (require_file_place, require_folder_place):
        with pytest.raises(StorageError, match=r"expected a place for .*name another"):
            require(tmp_path / name, "--output")


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for require, found in ((require_file_place, tmp_path), (require_folder_place, tmp_path / "file")):
        with pytest.raises(Misuse, match="--output is a"):
            require(found, "--output")
