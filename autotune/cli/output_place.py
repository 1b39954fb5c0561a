"""Checks of outputs that are written at the end of a command, before work is spent on them."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.errors import Misuse, StorageError


def require_file_place(path: Path, option: str) -> None:
    """Makes the folder of a file, and tries that a file can be put there; option: that names it, for errors.

    Raises Misuse where the path is a folder, and StorageError where it cannot be written to.
    """
    if os.path.isdir(path):
        raise Misuse(f"{option} is a file; found the folder {path}", code="AT803")
    _require(path.with_name(f".{path.name}.{os.getpid()}"), path)


def require_folder_place(path: Path, option: str) -> None:
    """Makes a folder, and tries that a file can be put there; option: that names it, for errors.

    Raises Misuse where the path is a file, and StorageError where it cannot be written to.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise Misuse(f"{option} is a folder; found the file {path}", code="AT803")
    _require(path / f".{os.getpid()}", path)


def _require(scratch: Path, path: Path) -> None:
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch()
        scratch.unlink()
    except OSError as error:
        raise StorageError(
            f"expected a place for {path}, found: {error.strerror}; name another, or make room", code="AT803"
        ) from error
