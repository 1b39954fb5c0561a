"""The models of a service: rows of the store, and the folders that hold their files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select

from autotune.service.documents import Examination, ModelDocument, ModelState, utc_text
from autotune.service.service_folder import ServiceFolder
from autotune.service.tables import MODELS
from search_spaces.errors import Misuse
from tuning_logs.sql.sql_store import SqlStore

#: The suffix of an archive with a model and the files of its weights.
ARCHIVE: Final = ".zip"
_SUFFIXES: Final = (".onnx", ".pt2", ".tflite", ARCHIVE)
_MOST_CHARS: Final = 60
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


class ModelShelf:
    """The models of a store and a folder. clock: UNIX time in seconds."""

    def __init__(
        self, store: SqlStore, folder: ServiceFolder, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._folder, self._clock = store, folder, clock

    def add(self, upload: Row[Any], sha256: str) -> None:
        """Adds the model that an upload became, to be examined; its id is that of the upload."""
        row = {
            "id": upload.id,
            "name": upload.name,
            "file": file_name(upload.name),
            "bytes": upload.bytes,
            "sha256": sha256,
            "token": upload.token,
            "created": self._clock(),
            "state": ModelState.EXAMINING,
        }
        self._store.write(lambda connection: connection.execute(MODELS.insert().values(row)))

    def has(self, model: str) -> bool:
        """Whether there is a model of an id."""
        return bool(self._store.rows(select(MODELS.c.id).where(MODELS.c.id == model)))

    def row(self, model: str) -> Row[Any]:
        """The row of a model. Raises Misuse where there is none."""
        rows = self._store.rows(select(MODELS).where(MODELS.c.id == model))
        if not rows:
            raise Misuse(f"expected the id of a model, found {model[:40]!r}", code="AT903")
        return rows[0]

    def get(self, model: str) -> ModelDocument:
        """The document of a model. Raises Misuse where there is none."""
        return _document(self.row(model))

    def page(self, limit: int) -> tuple[ModelDocument, ...]:
        """The newest models."""
        query = select(MODELS).order_by(MODELS.c.created.desc()).limit(limit)
        return tuple(map(_document, self._store.rows(query)))

    def unexamined(self) -> list[str]:
        """The ids of models that are to be examined, the oldest first."""
        query = select(MODELS.c.id).where(MODELS.c.state == ModelState.EXAMINING)
        return [row.id for row in self._store.rows(query.order_by(MODELS.c.created))]

    def note(self, model: str, found: Examination) -> None:
        """Keeps an examination, complete or not; a complete one decides whether the model can be tuned."""
        state = ModelState.EXAMINING
        if found.is_complete:
            state = ModelState.REFUSED if found.refusal else ModelState.READY
        change = MODELS.update().where(MODELS.c.id == model)
        values = {"examination": msgspec.json.encode(found).decode(), "state": state}
        self._store.write(lambda connection: connection.execute(change.values(values)))

    def path(self, model: str) -> Path:
        """The path of a model's file; of an archive the file of the model in it, once it is examined."""
        row = self.row(model)
        folder = self._folder.model(model)
        if not row.file.endswith(ARCHIVE):
            return folder / str(row.file)
        found = unpacked_model(folder)
        if found is None:
            raise Misuse(f"expected a model in the archive {model}, found none", code="AT102")
        return found


def file_name(name: str) -> str:
    """The name under which a model's file is stored: letters, digits, `_` and `-` of the user's, and a known suffix.

    >>> file_name("../my model.onnx")
    'my_model.onnx'
    """
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, suffix = last.rpartition(".")
    known = f".{suffix.lower()}" if dot else ""
    if known not in _SUFFIXES:
        stem, known = last, ".onnx"
    return (_UNSAFE.sub("_", stem).strip("_-")[:_MOST_CHARS] or "model") + known


def unpacked_model(folder: Path) -> Path | None:
    """The only ONNX file of an unpacked archive, None where there is not exactly one."""
    found = [path for path in sorted((folder / "content").rglob("*.onnx")) if path.is_file()]
    return found[0] if len(found) == 1 else None


def _document(row: Row[Any]) -> ModelDocument:
    examination = msgspec.json.decode(row.examination, type=Examination) if row.examination else Examination()
    return ModelDocument(
        row.id,
        row.name,
        row.bytes,
        row.sha256,
        utc_text(row.created),
        ModelState(row.state),
        examination,
    )
