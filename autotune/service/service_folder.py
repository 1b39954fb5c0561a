"""The folder of a service: what is where, and a lock against a second server."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from search_spaces.errors import AutotuneError, Misuse, StorageError

_ID: Final = re.compile(r"[0-9a-f]{8,16}")
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """Paths in the folder of a service. Ids are the service's own; names from outside are never part of a path."""

    path: Path

    def make(self) -> None:
        """Makes the folders, for their owner alone. Raises StorageError where that is not possible."""
        try:
            for each in (self.path, self.uploads, self.path / "models", self.path / "jobs"):
                each.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"expected a folder that can be written to, found {self.path}: {error}", code="AT803"
            ) from error

    @property
    def uploads(self) -> Path:
        """The folder of uploads that are not complete."""
        return self.path / "uploads"

    @property
    def examining(self) -> Path:
        """The folder of the processes that examine models; nothing in it outlives a server."""
        return self.path / "examining"

    @property
    def known_devices(self) -> Path:
        """The file of the devices that were found, with their facts."""
        return self.path / "known_devices.json"

    @property
    def devices_file(self) -> Path:
        """The file that describes devices beside `local`."""
        return self.path / "devices.toml"

    def upload(self, upload: str) -> Path:
        """The file of an upload that is not complete."""
        return self.uploads / f"{_checked(upload)}.part"

    def model(self, model: str) -> Path:
        """The folder of a model."""
        return self.path / "models" / _checked(model)

    def job(self, job: str) -> Path:
        """The folder of a job, with its job file; what it makes is in `output`."""
        return self.path / "jobs" / _checked(job)

    def output(self, job: str) -> Path:
        """The output folder of a job: log, status, libraries."""
        return self.job(job) / "out"

    def package(self, job: str, package: str) -> Path:
        """The folder of a package of a job."""
        return self.job(job) / "packages" / _checked(package)

    def owner(self) -> str:
        """The name under which servers of this folder claim jobs: the same for all of them, one after the other."""
        path = self.path / "service.id"
        try:
            return path.read_text("ascii")
        except FileNotFoundError:
            path.write_text(secrets.token_hex(6), "ascii")
            return path.read_text("ascii")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Locks the folder until the end of the block or of the process. Raises AutotuneError where it is locked."""
        descriptor = os.open(self.path / "service.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise AutotuneError(
                f"expected {self.path} to be no running service's, found that another server has it; stop that one, "
                "or name another folder",
                code="AT909",
            ) from error
        finally:
            os.close(descriptor)


def _checked(found: str) -> str:
    if not _ID.fullmatch(found):
        raise Misuse(f"expected an id, found {found[:40]!r}", code="AT903")
    return found
