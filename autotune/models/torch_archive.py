"""The archive of a `.pt2` file, looked at before PyTorch reads it."""

from __future__ import annotations

import zipfile
from pathlib import Path

# PyTorch stores what it writes as it is, each part once: nothing in the file is larger than the file.
_METHOD = zipfile.ZIP_STORED
_MOST_MEMBERS = 1 << 20


def is_whole_archive(path: Path) -> bool:
    """Whether the file is a zip archive such as PyTorch writes, which unpacks to no more than its own size."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False
    return (
        0 < len(members) <= _MOST_MEMBERS
        and all(member.compress_type == _METHOD for member in members)
        and sum(member.file_size for member in members) <= size
        and len({member.filename for member in members}) == len(members)
    )
