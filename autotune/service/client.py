"""The Python client of the service: uploads, jobs, results; it goes on after a lost connection."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import msgspec

from autotune.service.bookings import BookingDocument
from autotune.service.documents import (
    DeviceDocument,
    JobDocument,
    JobOrder,
    JobPage,
    ModelDocument,
    ModelState,
    QueueState,
    UploadDocument,
)
from autotune.service.exchange import Exchange
from autotune.service.result_documents import HistoryEntry, PackageDocument, PackageState, ResultDocument
from search_spaces.errors import AutotuneError, Misuse

_PART_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 1 << 18
_PAUSE_SECS: Final = 0.5


class Client:
    """A client of the service at a URL.

    token: as `autotune token create` prints it, None for a service that answers anonymous requests from loopback;
    patience_secs: for which a server that has answered before is asked again, as while it restarts; one that never has
    is asked for two seconds at most. Every request is made so that a repeated one changes nothing more.

    Errors of the service are raised as AutotuneError with its code.

    >>> with Client("http://127.0.0.1:8000", token) as client:
    ...     model = client.upload("squeezenet.onnx")
    ...     job = client.submit(JobOrder((ModelOrder(model.id),), time="30m"))
    ...     results = client.wait(job.id)
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        patience_secs: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._exchange = Exchange(url, token, patience_secs, transport)
        self._patience_secs = patience_secs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._exchange.close()

    def devices(self) -> tuple[DeviceDocument, ...]:
        """The devices that jobs can name."""
        return self._exchange.get("/devices", tuple[DeviceDocument, ...])

    def bookings(self) -> tuple[BookingDocument, ...]:
        """The devices of the cluster that jobs run on, and the jobs that have them."""
        return self._exchange.get("/bookings", tuple[BookingDocument, ...])

    def upload(self, path: str | Path) -> ModelDocument:
        """Uploads a model file, or a .zip of one with the files of its weights; returns the model, to be examined."""
        path = Path(path)
        if path.exists() and not path.is_file():
            raise Misuse(f"expected a model file at {path}, found no regular file", code="AT101")
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except OSError as error:
            raise Misuse(f"expected a model file at {path}, found: {error.strerror}", code="AT101") from error
        new = {"name": path.name, "bytes": size, "sha256": digest}
        found = self._exchange.post("/uploads", UploadDocument, new, keyed=True)
        until = time.monotonic() + self._patience_secs
        while found.model is None:
            offset = found.offset
            try:
                found = self._append(path, found)
            except AutotuneError as error:
                # Another request may still have the upload, or bytes that were sent are there after all.
                if error.code != "AT907" or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_SECS)
                found = self._exchange.get(f"/uploads/{found.id}", UploadDocument)
            if found.offset > offset:
                until = time.monotonic() + self._patience_secs
        return self.model(found.model)

    def model(self, model: str) -> ModelDocument:
        """A model, and what is known of it."""
        return self._exchange.get(f"/models/{_quoted(model)}", ModelDocument)

    def models(self) -> tuple[ModelDocument, ...]:
        """The newest models."""
        return self._exchange.get("/models", tuple[ModelDocument, ...])

    def examined(self, model: str) -> ModelDocument:
        """A model once its examination is complete, for which this waits."""
        while True:
            found = self.model(model)
            if found.state is not ModelState.EXAMINING:
                return found
            time.sleep(_PAUSE_SECS)

    def history(self, model: str) -> tuple[HistoryEntry, ...]:
        """The results of all models of the same name."""
        return self._exchange.get(f"/models/{_quoted(model)}/history", tuple[HistoryEntry, ...])

    def submit(self, order: JobOrder) -> JobDocument:
        """Queues a job. Its models have to be examined, see `examined`."""
        return self._exchange.post("/jobs", JobDocument, msgspec.to_builtins(order), keyed=True)

    def job(self, job: str) -> JobDocument:
        """A job as it stands."""
        return self._exchange.get(f"/jobs/{_quoted(job)}", JobDocument)

    def jobs(self, state: QueueState | None = None, before: int | None = None, limit: int = 50) -> JobPage:
        """A page of jobs, the newest first."""
        wanted = {"state": state, "before": before, "limit": limit}
        return self._exchange.get(
            "/jobs", JobPage, {key: value for key, value in wanted.items() if value is not None}
        )

    def follow(self, job: str) -> Iterator[JobDocument]:
        """The document of a job whenever it changes, until the job is over."""
        last = None
        while last is None or not last.state.is_over:
            found = self.job(job)
            if found != last:
                last = found
                yield found
            else:
                time.sleep(_PAUSE_SECS)

    def wait(self, job: str) -> ResultDocument:
        """The results of a job once it is over, for which this waits."""
        for _ in self.follow(job):
            pass
        return self.results(job)

    def results(self, job: str) -> ResultDocument:
        """The results of a job as far as it has come."""
        return self._exchange.get(f"/jobs/{_quoted(job)}/results", ResultDocument)

    def status(self, job: str) -> dict[str, Any]:
        """The status of a job's engine, the same as `status.json` of `autotune run`."""
        return self._exchange.get(f"/jobs/{_quoted(job)}/status", dict[str, Any])

    def cancel(self, job: str) -> JobDocument:
        """Cancels a job; one that runs ends after the round under way."""
        return self._exchange.post(f"/jobs/{_quoted(job)}/cancel", JobDocument)

    def again(self, job: str, time: str | None = None, trials: int | None = None) -> JobDocument:
        """Queues a job that is over with more time or more trials."""
        more = {"time": time, "trials": trials}
        return self._exchange.post(f"/jobs/{_quoted(job)}/again", JobDocument, more)

    def package(
        self, job: str, form: str, model: str | None = None, device: str | None = None
    ) -> PackageDocument:
        """Orders a package of a job that is over: a `wheel`, an `archive` or a `server`.

        model, device: names in the job, the first ones by default.
        """
        wanted = {"form": form, "model": model, "device": device}
        return self._exchange.post(f"/jobs/{_quoted(job)}/packages", PackageDocument, wanted)

    def packages(self, job: str) -> tuple[PackageDocument, ...]:
        """The packages of a job."""
        return self._exchange.get(f"/jobs/{_quoted(job)}/packages", tuple[PackageDocument, ...])

    def packaged(self, package: PackageDocument) -> PackageDocument:
        """A package once it is ready, for which this waits. Raises AutotuneError where it cannot be built."""
        found = package
        while found.state.is_pending:
            time.sleep(_PAUSE_SECS)
            found = self._exchange.get(
                f"/jobs/{_quoted(package.job)}/packages/{_quoted(package.id)}", PackageDocument
            )
        if found.state is PackageState.FAILED:
            raise AutotuneError(
                f"the {found.form} of {found.model} was not built: {found.reason}", code="AT748"
            )
        return found

    def download_package(self, package: PackageDocument, folder: str | Path) -> Path:
        """Saves a package that is ready under its own name in a folder."""
        path = Path(folder) / Path(package.file or package.form).name
        return self._exchange.save(f"/jobs/{_quoted(package.job)}/packages/{_quoted(package.id)}/file", path)

    def download(self, job: str, name: str, path: str | Path) -> Path:
        """Saves a file of a job; `results` lists their names."""
        return self._exchange.save(f"/jobs/{_quoted(job)}/files/{_quoted(name)}", Path(path))

    def _append(self, path: Path, upload: UploadDocument) -> UploadDocument:
        """Sends a part of a file from the upload's offset; after a lost connection it is asked how much has come."""
        end = min(upload.offset + _PART_BYTES, upload.bytes)
        headers = {
            "Upload-Offset": str(upload.offset),
            "Content-Length": str(end - upload.offset),
            "Content-Type": "application/offset+octet-stream",
        }
        try:
            return self._exchange.patch(
                f"/uploads/{upload.id}", UploadDocument, _blocks(path, upload.offset, end), headers
            )
        except httpx.TransportError:
            return self._exchange.get(f"/uploads/{upload.id}", UploadDocument)


def _blocks(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(_BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


def _quoted(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="", errors="surrogateescape")
