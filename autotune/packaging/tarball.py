"""Compressed tar files whose bytes depend on their members alone."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from tuning_logs.atomic_file import atomically

#: A member: its name and its bytes, or the file that has them.
Member = tuple[str, bytes | Path]


def write_tarball(path: Path, members: Iterable[Member], compression: int) -> None:
    """Writes members to a .tar.gz file, which is replaced as a whole; compression: zlib's level. Raises OSError."""
    with (
        atomically(path) as scratch,
        scratch.open("wb") as stream,
        # Neither the time nor the scratch file's name goes into the file.
        gzip.GzipFile("", "wb", compression, stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, data in members:
            _add(archive, name, data)


def _add(archive: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if name.endswith(".so") else 0o644
    source: IO[bytes] = data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
    with source:
        info.size = data.stat().st_size if isinstance(data, Path) else len(data)
        archive.addfile(info, source)
