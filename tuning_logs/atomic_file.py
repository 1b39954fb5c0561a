"""Replacing a file in one step: readers see the old contents or the new, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Yields a scratch path in the same folder, whose file is synced and renamed to `path` at the end.

    After an exception, `path` is as it was and the scratch file is deleted. Raises OSError where the folder or the
    disk does not take the file.

    >>> with atomically(path) as scratch:
    ...     scratch.write_bytes(data)
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    try:
        yield scratch
        # Without it, a crash of the machine may leave the new name on an empty file.
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
