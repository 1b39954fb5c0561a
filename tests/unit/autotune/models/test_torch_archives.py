"""Archives of `.pt2` files: what would unpack to more than its size does not reach PyTorch."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import repository

from autotune.models.torch_archive import is_whole_archive


@pytest.mark.parametrize(
    "path", sorted((repository.GOLDEN / "models").glob("*.pt2")), ids=lambda path: path.stem
)
def test_what_pytorch_wrote_is_whole_and_half_of_it_is_not(path: Path, tmp_path: Path) -> None:
    assert is_whole_archive(path)
    half = tmp_path / "half.pt2"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert not is_whole_archive(half)


def test_bombs_and_files_of_other_kinds_are_none(tmp_path: Path) -> None:
    path = tmp_path / "forged.pt2"
    for content in (b"", b"PK", b"PK\5\6" + bytes(18), b"no archive"):
        path.write_bytes(content)
        assert not is_whole_archive(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", bytes(1 << 24))
    assert not is_whole_archive(path)
    assert not is_whole_archive(tmp_path)
