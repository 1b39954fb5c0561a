"""The file under a log: grows by whole batches, each on disk before it counts."""

from __future__ import annotations

import codecs
import contextlib
import errno
import gzip
import os
import stat
import tempfile
import weakref
import zlib
from pathlib import Path
from typing import IO, BinaryIO, Final

import msgspec

from search_spaces.errors import Misuse, StorageError
from tuning_logs.file.lock import WriterLock
from tuning_logs.format.line import LINE_START, bare

#: How the name of a log ends that was compressed with gzip: it can be read, and not added to.
COMPRESSED: Final = ".gz"
#: Packed logs are a fourth to a tenth of plain ones: of another file, not all is unpacked, which may fill the disk.
_MOST_PACKED: Final = 200
_MOST_UNPACKED: Final = 1 << 24
_BLOCK: Final = 1 << 20
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class FileStamp(msgspec.Struct, frozen=True):
    """The identity of a file, and its size and time of change in nanoseconds."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def index_path(log: Path) -> Path:
    """The path of a log's index."""
    return log.with_name(log.name + ".idx")


class LogFile:
    """An open log file. What keeps it from being opened or added to comes out as AutotuneError, naming it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.lock = WriterLock(path, descriptor)
        # Looking records up goes on after closing, for as long as someone may want to.
        self._lookups = os.dup(descriptor)
        weakref.finalize(self, os.close, self._lookups)

    @classmethod
    def for_appending(cls, path: Path) -> LogFile:
        """Opens or creates the file, and the folders it is in. Raises Misuse where that cannot be, and StorageError
        where the disk is full."""
        if path.suffix == COMPRESSED:
            raise Misuse(
                f"expected a log that can be added to, found the compressed {path}; run gunzip, or name another file",
                code="AT202",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not os.path.exists(path)
            # O_NONBLOCK: opening a pipe must fail, not wait.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            file = cls(path, os.open(path, flags, 0o666))
            if fresh:
                _sync_folder(path.parent)
        except OSError as error:
            if error.errno in _FULL:
                raise StorageError(
                    f"expected room for a tuning log at {path}, found: {error.strerror}; make room and start again",
                    code="AT202",
                ) from error
            raise Misuse(
                f"expected a tuning log that can be written at {path}, found: {error.strerror}; "
                f"name another file",
                code="AT202",
            ) from error
        if not stat.S_ISREG(os.fstat(file._descriptor).st_mode):
            file.close()
            raise Misuse(
                f"expected {path} to be a file, found something else; name another file", code="AT201"
            )
        return file

    @classmethod
    def for_reading(cls, path: Path) -> LogFile:
        """Opens the file without changing anything, unpacked where it is compressed.

        Raises Misuse where there is none to be read.
        """
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise Misuse(
                    f"expected {path} to be a tuning log, found a folder or a device; name another file",
                    code="AT201",
                )
            if path.suffix == COMPRESSED:
                return cls(path, _unpacked(path))
            file = cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            file.at(0, 1)  # what cannot be read is found out now
            return file
        except OSError as error:
            raise Misuse(
                f"expected a tuning log at {path}, found: {error.strerror}; name another file",
                code="AT201",
            ) from error

    @property
    def is_compressed(self) -> bool:
        """Whether the file at the path holds what is read here in another form."""
        return self.path.suffix == COMPRESSED

    @property
    def stamp(self) -> FileStamp:
        """Tells this file from another, and from what it was before it was written to."""
        found = os.fstat(self._descriptor)
        return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._descriptor).st_size

    def reader(self, start: int) -> BinaryIO:
        """Reads the file from a byte on."""
        file = os.fdopen(os.dup(self._descriptor), "rb")
        file.seek(start)
        return file

    def at(self, offset: int, size: int) -> bytes:
        """The size bytes at an offset, fewer where the file ends before."""
        return os.pread(self._lookups, size, offset)

    def distrust(self) -> None:
        """Removes the index beside the file, so that the next opening reads every line."""
        with contextlib.suppress(OSError):
            index_path(self.path).unlink()

    def append(self, data: bytes, size: int) -> None:
        """Adds data behind the first size bytes, and returns when it is on disk.

        Raises StorageError where that fails, with the file cut back to what it was.
        """
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.cut(size)
            raise StorageError(
                f"expected to add {len(data)} bytes to {self.path}, found: {error.strerror}; what it held "
                f"before is intact: make room and start the job again to go on from there",
                code="AT202",
            ) from error

    def cut(self, size: int) -> None:
        """Keeps the first size bytes only."""
        os.ftruncate(self._descriptor, size)
        os.fsync(self._descriptor)

    def is_at_its_path(self) -> bool:
        """Whether the path still leads to this file, rather than to nothing or to one put in its place."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def refuse_other_kinds(self) -> None:
        """Raises Misuse where the file does not start as a tuning log does."""
        with self.reader(0) as stream:
            start = bare(stream.read(len(codecs.BOM_UTF8) + len(LINE_START)))[: len(LINE_START)]
        if start and not LINE_START.startswith(start):
            raise Misuse(
                f"expected {self.path} to be a tuning log, found a file of another kind; name another file",
                code="AT201",
            )

    def close(self) -> None:
        """Gives up the lock and the file."""
        if self._descriptor >= 0:
            self.lock.release()
            os.close(self._descriptor)
            self._descriptor = -1


def _unpacked(path: Path) -> int:
    """The descriptor of a nameless file with what a compressed one holds."""
    try:
        with gzip.open(path) as packed, _scratch_file(path) as plain:
            left = _MOST_UNPACKED + _MOST_PACKED * path.stat().st_size
            while block := packed.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise EOFError(f"it holds over {_MOST_PACKED} times its size, which is no log")
                plain.write(block)
            plain.flush()
            return os.dup(plain.fileno())
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise Misuse(
            f"expected a whole file in gzip's format at {path}, found: {error}", code="AT201"
        ) from error


def _scratch_file(path: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise StorageError(
            f"expected a folder for temporary files to unpack {path} in, found: {error.strerror}; "
            "name one that can be written to with the variable TMPDIR",
            code="AT807",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
