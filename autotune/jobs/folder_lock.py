"""A lock on a job's folder: two runs would replace each other's status and builds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autotune.jobs.status_file import read_status
from search_spaces.errors import AutotuneError, StorageError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Locks a folder, created if needed, until the end of the block or of the process.

    Raises AutotuneError where another run holds it, and where it cannot be made or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StorageError(
            f"expected a folder that can be written to, found {folder}: {error}", code="AT803"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            status = read_status(folder)
            who = f"process {status.runs[-1].pid}" if status else "another process"
            raise AutotuneError(
                f"expected {folder} to be no running job's, found that {who} has it; wait for that job, stop it, or "
                "name another output folder",
                code="AT502",
            ) from error
        except OSError as error:
            raise AutotuneError(
                f"expected a file system that can lock {folder}, found: {error.strerror}; put it on a local disk",
                code="AT204",
            ) from error
        yield
    finally:
        os.close(descriptor)
