"""Room on the file systems that workers write to: what fails where there is none tells nothing of a candidate."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.errors import StorageError

# Less than a kernel with its object file takes.
_LEAST_BYTES = 1 << 20


def require_room(folder: Path) -> None:
    """Raises StorageError where the file system of a folder is full."""
    system = os.statvfs(folder)
    has_files = system.f_files == 0 or system.f_favail > 0
    if system.f_bavail * system.f_frsize < _LEAST_BYTES or not has_files:
        raise StorageError(
            f"expected room to work in {folder}, found a full file system; make room, or name another folder with "
            "the variable TMPDIR, and start again to go on",
            code="AT803",
        )
