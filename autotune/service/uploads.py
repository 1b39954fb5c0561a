"""Uploads: streamed to disk, resumed by offset, and turned into models in one step."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row, func, select

from autotune.service.documents import UploadDocument
from autotune.service.limits import ServiceLimits
from autotune.service.model_shelf import ModelShelf, file_name
from autotune.service.service_folder import ServiceFolder
from autotune.service.tables import UPLOADS
from search_spaces.errors import AutotuneError, Misuse
from tuning_logs.sql.sql_store import SqlStore

_ID_BYTES: Final = 6
_MOST_NAME: Final = 255
# Kept free for the store and the logs of running jobs.
_RESERVE_BYTES: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A file to be uploaded; sha256: in hexadecimal digits, compared at the end where it is given."""

    name: str
    bytes: int
    sha256: str | None = None


class Uploads:
    """The uploads of a store and a folder. The size of an upload's file is its offset: nothing else keeps it."""

    def __init__(
        self,
        store: SqlStore,
        folder: ServiceFolder,
        shelf: ModelShelf,
        limits: ServiceLimits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._folder, self._shelf = store, folder, shelf
        self._limits, self._clock = limits, clock
        self._completing = threading.Lock()

    def begin(
        self, wanted: UploadRequest, token: str | None = None, request_key: str | None = None
    ) -> UploadDocument:
        """Begins an upload; the same request finds the one that it began before.

        Raises Misuse for a file that is empty or too large, where too many are open, or where the disk is full.
        """
        if request_key is not None:
            earlier = self._store.rows(select(UPLOADS).where(UPLOADS.c.request_key == request_key))
            if earlier:
                return self._document(earlier[0])
        self._check(wanted, token)
        row = {
            "id": secrets.token_hex(_ID_BYTES),
            "name": wanted.name,
            "bytes": wanted.bytes,
            "sha256": wanted.sha256,
            "token": token,
            "created": self._clock(),
            "request_key": request_key,
        }
        self._folder.upload(str(row["id"])).touch(mode=0o600)
        self._store.write(lambda connection: connection.execute(UPLOADS.insert().values(row)))
        return self.get(str(row["id"]))

    def get(self, upload: str) -> UploadDocument:
        """The document of an upload. Raises Misuse where there is none."""
        return self._document(self._row(upload))

    def open(self, upload: str, offset: int) -> AppendedFile:
        """Opens an upload to append to it. Raises Misuse where the offset is not that of the upload, or where another
        request appends to it."""
        row = self._row(upload)
        try:
            return AppendedFile(self._folder.upload(upload), offset, row.bytes)
        except FileNotFoundError as error:
            raise Misuse(f"expected an open upload, found {upload} complete", code="AT907") from error

    def complete(self, upload: str) -> UploadDocument:
        """Turns an upload of which all bytes are there into a model; one that lacks some is left as it is.

        Raises Misuse where the checksum is another; then the upload begins anew.
        """
        with self._completing:
            return self._complete(self._row(upload))

    def settle(self, upload: str) -> UploadDocument:
        """Completes an upload whose size was an upper bound, as that of a browser's form, with the bytes that came.

        Raises Misuse where none came.
        """
        size = self._folder.upload(upload).stat().st_size
        if not size:
            raise Misuse("expected a file, found an empty one or none; choose a model's file", code="AT911")
        change = UPLOADS.update().where(UPLOADS.c.id == upload).values(bytes=size)
        self._store.write(lambda connection: connection.execute(change))
        return self.complete(upload)

    def discard(self, upload: str) -> None:
        """Deletes an upload that is not complete."""
        self._folder.upload(upload).unlink(missing_ok=True)
        self._forget(upload)

    def _complete(self, row: Row[Any]) -> UploadDocument:
        path = self._folder.upload(row.id)
        if row.model is not None or not path.exists() or path.stat().st_size < row.bytes:
            return self._document(row)
        sha256 = _sha256(path)
        if row.sha256 is not None and row.sha256.lower() != sha256:
            os.truncate(path, 0)
            raise Misuse(
                f"expected a file with SHA-256 {row.sha256}, found {sha256}; send it again from the start",
                code="AT907",
            )
        folder = self._folder.model(row.id)
        folder.mkdir(mode=0o700, exist_ok=True)
        path.replace(folder / file_name(row.name))
        _sync(folder)
        self._shelve(row, sha256)
        return self.get(row.id)

    def recover(self) -> None:
        """Finishes what a killed server had begun: files that are complete, and models that are not on the shelf."""
        for row in self._store.rows(select(UPLOADS).where(UPLOADS.c.model.is_(None))):
            stored = self._folder.model(row.id) / file_name(row.name)
            if stored.exists():
                self._shelve(row, _sha256(stored))
            elif self._folder.upload(row.id).exists():
                self.complete(row.id)

    def tidy(self) -> None:
        """Deletes uploads that were not completed in time."""
        late = UPLOADS.c.created < self._clock() - self._limits.upload_secs
        for row in self._store.rows(select(UPLOADS).where(UPLOADS.c.model.is_(None), late)):
            self.discard(row.id)

    def _forget(self, upload: str) -> None:
        gone = UPLOADS.delete().where(UPLOADS.c.id == upload)
        self._store.write(lambda connection: connection.execute(gone))

    def _shelve(self, row: Row[Any], sha256: str) -> None:
        if not self._shelf.has(row.id):
            self._shelf.add(row, sha256)
        change = UPLOADS.update().where(UPLOADS.c.id == row.id).values(model=row.id)
        self._store.write(lambda connection: connection.execute(change))

    def _check(self, wanted: UploadRequest, token: str | None) -> None:
        if not 0 < len(wanted.name) <= _MOST_NAME:
            raise Misuse(
                f"a file has a name of 1 to {_MOST_NAME} characters; found {wanted.name[:40]!r}", code="AT911"
            )
        most = self._limits.upload_bytes
        if not 0 < wanted.bytes <= most:
            raise Misuse(
                f"expected a file of 1 to {most} bytes, found {wanted.bytes}; an administrator can raise the limit",
                code="AT905",
            )
        mine = select(func.count()).where(
            UPLOADS.c.model.is_(None),
            UPLOADS.c.token.is_(None) if token is None else UPLOADS.c.token == token,
        )
        if self._store.rows(mine)[0][0] >= self._limits.open_uploads:
            raise Misuse(
                f"expected at most {self._limits.open_uploads} uploads that are not complete; complete some of them",
                code="AT905",
            )
        free = shutil.disk_usage(self._folder.uploads).free
        if free - wanted.bytes < _RESERVE_BYTES:
            raise AutotuneError(
                f"expected room for {wanted.bytes} bytes, found {free}; make room on the disk", code="AT807"
            )

    def _row(self, upload: str) -> Row[Any]:
        rows = self._store.rows(select(UPLOADS).where(UPLOADS.c.id == upload))
        if not rows:
            raise Misuse(f"expected the id of an upload, found {upload[:40]!r}", code="AT903")
        return rows[0]

    def _document(self, row: Row[Any]) -> UploadDocument:
        offset = row.bytes
        if row.model is None:
            path = self._folder.upload(row.id)
            offset = path.stat().st_size if path.exists() else row.bytes
        return UploadDocument(row.id, row.name, row.bytes, offset, row.model)


class AppendedFile:
    """A file that one request appends to, up to a size; what is written is on the disk after `close`."""

    def __init__(self, path: Path, offset: int, most_bytes: int) -> None:
        """Raises Misuse where another request has the file, or where its size is not the offset."""
        self._file = FileIO(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "a")
        self._most_bytes = most_bytes
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.size = os.fstat(self._file.fileno()).st_size
            if offset != self.size:
                raise Misuse(f"expected the upload to go on at {self.size}, found {offset}", code="AT907")
        except BlockingIOError as error:
            self._file.close()
            raise Misuse(
                "expected one request at a time for an upload, found that another one sends; wait for it",
                code="AT907",
            ) from error
        except BaseException:
            self._file.close()
            raise

    def write(self, chunk: bytes) -> None:
        """Appends bytes. Raises Misuse, and appends nothing, where these are more than the upload's size."""
        if self.size + len(chunk) > self._most_bytes:
            raise Misuse(
                f"expected {self._most_bytes} bytes, found more; begin an upload of the right size",
                code="AT905",
            )
        view = memoryview(chunk)
        while view:
            written = self._file.write(view) or 0
            self.size += written
            view = view[written:]

    def close(self) -> None:
        """Waits for the disk and closes the file, once."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Waits until the names in a folder and its parent are on the disk."""
    for each in (folder, folder.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
