"""The file in a job's folder that holds its status: status.json.

Paths in the file lead from its folder, so that a folder can be moved and read from anywhere; those of a status that
was read or is to be written lead from the working directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from autotune.jobs.document import decode_document, encode_document
from autotune.jobs.status import SCHEMA, JobStatus
from search_spaces.errors import AutotuneError, StorageError
from tuning_logs.address import anchored, is_url, relative
from tuning_logs.atomic_file import atomically

_FILE = "status.json"


def write_status(folder: Path, status: JobStatus) -> None:
    """Replaces the status of a folder atomically.

    Raises StorageError where the folder cannot be written to.
    """
    kept = _with_paths(status, lambda where: relative(where, folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomically(folder / _FILE) as scratch:
            scratch.write_bytes(encode_document(kept))
    except OSError as error:
        raise StorageError(
            f"expected a folder that can be written to, found {folder}: {error}", code="AT803"
        ) from error


def read_status(folder: Path) -> JobStatus | None:
    """The status of a folder, None where no job has run there. Raises AutotuneError where it cannot be read."""
    path = folder / _FILE
    try:
        found = decode_document(path.read_bytes(), JobStatus)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError) as error:
        raise AutotuneError(
            f"expected the status of a job, found {path}: {error}; remove the file, and the job starts its budget anew",
            code="AT503",
        ) from error
    if found.schema >= SCHEMA:
        return _with_paths(found, lambda where: anchored(where, folder))
    return _with_paths(found, lambda where: _sought(where, folder))


def _with_paths(status: JobStatus, change: Callable[[str], str]) -> JobStatus:
    models = tuple(
        msgspec.structs.replace(
            one,
            path=change(one.path) if one.path else one.path,
            library=change(one.library) if one.library else one.library,
        )
        for one in status.models
    )
    return msgspec.structs.replace(status, schema=SCHEMA, log=change(status.log), models=models)


def _sought(where: str, folder: Path) -> str:
    """A path of schema 1, which leads from the directory that the job was started in: most likely a parent of its
    folder. What moved with the folder is looked for there."""
    if is_url(where):
        return where
    path, parts = Path(where), Path(where).parts
    places = [path] if path.is_absolute() else [parent / path for parent in folder.absolute().parents]
    places += [folder.joinpath(*parts[start:]) for start in range(1, len(parts))]
    return next((str(place) for place in places if os.path.exists(place)), where)
