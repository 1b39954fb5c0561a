"""Reading of files that may be anything: at most so many bytes."""

from __future__ import annotations

import errno
from pathlib import Path


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file. Raises OSError where it cannot be read, or is larger."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except ValueError as error:
        raise OSError(errno.EINVAL, f"no path: {error}", str(path)) from error
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"a file of more than {most_bytes >> 20} MiB", str(path))
    return data
