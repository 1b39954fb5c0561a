"""Faults of the storage that workers write to: what fails for them tells nothing of a candidate or a device."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from search_spaces.errors import StorageError

# Less than a kernel with its object file takes.
_LEAST_BYTES = 1 << 20
_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
# The system's words, which programs that workers start print as well, and those of Python's tempfile.
_NO_FOLDER = "no usable temporary directory"
_SIGNS = (*(os.strerror(number).lower() for number in _ERRORS), _NO_FOLDER)

#: What to do where no folder for temporary files can be written to.
TEMPORARY_FOLDER_REMEDY = "name a folder that can be written to with the variable TMPDIR"


def scratch_folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A new folder for temporary files that TVM and compilers are given.

    Raises StorageError where its path has bytes that are not UTF-8: TVM takes no such path.
    """
    folder = tempfile.TemporaryDirectory(prefix=prefix)
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        folder.cleanup()
        raise StorageError(
            f"expected a folder for temporary files whose path is UTF-8, found {tempfile.gettempdir()}, which TVM and "
            "compilers do not take; name another folder with the variable TMPDIR",
            code="AT803",
        ) from error
    return folder


def require_room(folder: Path) -> None:
    """Raises StorageError where a folder is gone, or its file system is full."""
    try:
        system = os.statvfs(folder)
    except OSError as error:
        raise _refusal(folder, error.strerror or str(error)) from error
    has_files = system.f_files == 0 or system.f_favail > 0
    if system.f_bavail * system.f_frsize < _LEAST_BYTES or not has_files:
        raise _refusal(folder, "a full file system")


def require_storage(message: str, folder: Path) -> None:
    """Raises StorageError where storage is to blame for a fault of a worker that writes to a folder.

    message: of the fault.
    """
    require_room(folder)
    if is_storage_fault(message):
        raise _refusal(folder, words_of_storage(message))


def is_storage_fault(text: str) -> bool:
    """Whether a message of an exception, or the end of what a process wrote, tells of storage that failed.

    There may be room again by now: what was written in vain has been removed.
    """
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS)


def is_without_temporary_folder(text: str) -> bool:
    """Whether a message is that of Python where no folder for temporary files can be written to."""
    return _NO_FOLDER in text.lower()


def words_of_storage(message: str) -> str:
    """The line of a message that tells of storage that failed."""
    return next(line.strip() for line in message.splitlines() if is_storage_fault(line))


def _refusal(folder: Path, found: str) -> StorageError:
    return StorageError(
        f"expected room to work in {folder}, found {found}; make room, or name another folder with "
        "the variable TMPDIR, and start again to go on",
        code="AT803",
    )
