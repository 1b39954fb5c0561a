"""Packages of jobs' models in the store: ordered, built one after the other, downloaded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Row, select

from autotune.service.documents import utc_text
from autotune.service.result_documents import PackageDocument, PackageState
from autotune.service.service_folder import ServiceFolder
from autotune.service.tables import PACKAGES
from search_spaces.errors import Misuse
from tuning_logs.sql.sql_store import SqlStore

_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class PackageOrder:
    """A package to build: of a job's model, by its name there, on one of the job's devices, in a form."""

    job: str
    model: str
    device: str
    form: str


class Packages:
    """The packages of a store and a folder. clock: UNIX time in seconds."""

    def __init__(
        self, store: SqlStore, folder: ServiceFolder, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._folder, self._clock = store, folder, clock

    def order(self, wanted: PackageOrder, since: float, token: str | None = None) -> PackageDocument:
        """Queues a package; finds one that is pending, or that was built since a time and is there still."""
        for row in self._store.rows(_of(wanted).order_by(PACKAGES.c.created.desc())):
            if PackageState(row.state).is_pending or (
                row.state == PackageState.READY and row.created >= since
            ):
                return _document(row)
        values = {
            "id": secrets.token_hex(_ID_BYTES),
            "job": wanted.job,
            "model": wanted.model,
            "device": wanted.device,
            "form": wanted.form,
            "state": PackageState.QUEUED,
            "created": self._clock(),
            "token": token,
        }
        self._store.write(lambda connection: connection.execute(PACKAGES.insert().values(values)))
        return self.get(wanted.job, str(values["id"]))

    def get(self, job: str, package: str) -> PackageDocument:
        """The document of a job's package. Raises Misuse where there is none."""
        rows = self._store.rows(select(PACKAGES).where(PACKAGES.c.id == package, PACKAGES.c.job == job))
        if not rows:
            raise Misuse(f"expected the id of a package of the job, found {package[:40]!r}", code="AT903")
        return _document(rows[0])

    def of_job(self, job: str) -> tuple[PackageDocument, ...]:
        """The packages of a job, the oldest first."""
        query = select(PACKAGES).where(PACKAGES.c.job == job).order_by(PACKAGES.c.created)
        return tuple(map(_document, self._store.rows(query)))

    def path(self, job: str, package: str) -> Path:
        """The file of a package. Raises Misuse for one that is not ready."""
        found = self.get(job, package)
        if found.file is None:
            raise Misuse(
                f"expected a package that is ready, found it {found.state}: {found.reason or 'wait for it'}",
                code="AT746",
            )
        return self._folder.package(job, package) / found.file

    def next(self) -> PackageDocument | None:
        """The package to build next, which counts as being built from now on; None where none waits."""
        query = select(PACKAGES).where(PACKAGES.c.state == PackageState.QUEUED)
        for row in self._store.rows(query.order_by(PACKAGES.c.created).limit(1)):
            self._change(row.id, state=PackageState.BUILDING)
            return self.get(row.job, row.id)
        return None

    def finish(self, package: str, file: Path) -> None:
        """Notes that a package is ready."""
        self._change(
            package, state=PackageState.READY, file=file.name, bytes=file.stat().st_size, reason=None
        )

    def fail(self, package: str, reason: str) -> None:
        """Notes why a package was not built."""
        self._change(package, state=PackageState.FAILED, reason=reason)

    def recover(self) -> None:
        """Puts back what an earlier server was building."""
        change = PACKAGES.update().where(PACKAGES.c.state == PackageState.BUILDING)
        self._store.write(lambda connection: connection.execute(change.values(state=PackageState.QUEUED)))

    def _change(self, package: str, **values: object) -> None:
        change = PACKAGES.update().where(PACKAGES.c.id == package).values(values)
        self._store.write(lambda connection: connection.execute(change))


def _of(wanted: PackageOrder) -> sqlalchemy.Select[Any]:
    return select(PACKAGES).where(
        PACKAGES.c.job == wanted.job,
        PACKAGES.c.model == wanted.model,
        PACKAGES.c.device == wanted.device,
        PACKAGES.c.form == wanted.form,
    )


def _document(row: Row[Any]) -> PackageDocument:
    return PackageDocument(
        row.id,
        row.job,
        row.model,
        row.device,
        row.form,
        PackageState(row.state),
        utc_text(row.created),
        row.file,
        row.bytes,
        row.reason,
    )
