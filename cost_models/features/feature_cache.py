"""A cache of record features in a file beside the log, which may be deleted at any time."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tuning_logs.atomic_file import atomically

#: Bytes of a record's key; see `record_key`.
KEY_BYTES: Final = 16


class _Header(msgspec.Struct, frozen=True):
    """version: of the features. columns: a digest of their names. sha256: of all that follows the header's line."""

    version: int
    columns: str
    rows: int
    sha256: str


class FeatureCache:
    """Rows of features by record key, of one version of the features.

    A file that is damaged, of another version or of other columns counts as empty and is written anew.
    """

    def __init__(self, path: Path, version: int, columns: Sequence[str]) -> None:
        self._path = path
        self._version = version
        self._width = len(columns)
        self._columns = hashlib.sha256("\n".join(columns).encode()).hexdigest()[:16]
        self._keys, self._rows = self._read()
        self._places = {key: place for place, key in enumerate(_split(self._keys))}

    @classmethod
    def beside(cls, log: Path, version: int, columns: Sequence[str]) -> FeatureCache:
        """The cache of a log: its name and `.features`."""
        return cls(log.with_name(log.name + ".features"), version, columns)

    def __len__(self) -> int:
        return len(self._places)

    def find(self, keys: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(n, d) rows, NaN where there is none, and (n,) whether there is one."""
        places = np.array([self._places.get(key, -1) for key in keys], dtype=np.int64)
        known = places >= 0
        rows = np.full((len(keys), self._width), np.nan, dtype=np.float32)
        rows[known] = self._rows[places[known]]
        return rows, known

    def keep(self, keys: Sequence[bytes], rows: NDArray[np.float32]) -> None:
        """Writes the file with exactly these rows. Where it cannot be written, the next reader computes them again."""
        body = b"".join(keys) + np.ascontiguousarray(rows, dtype="<f4").tobytes()
        header = _Header(self._version, self._columns, len(keys), hashlib.sha256(body).hexdigest())
        with contextlib.suppress(OSError), atomically(self._path) as scratch:
            scratch.write_bytes(msgspec.json.encode(header) + b"\n" + body)

    def _read(self) -> tuple[bytes, NDArray[np.float32]]:
        nothing = b"", np.zeros((0, self._width), dtype=np.float32)
        try:
            head, _, body = self._path.read_bytes().partition(b"\n")
            header = msgspec.json.decode(head, type=_Header)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return nothing
        size = header.rows * (KEY_BYTES + 4 * self._width)
        if (header.version, header.columns) != (self._version, self._columns) or len(body) != size:
            return nothing
        if header.rows < 0 or hashlib.sha256(body).hexdigest() != header.sha256:
            return nothing
        split = header.rows * KEY_BYTES
        rows = np.frombuffer(body, "<f4", offset=split).reshape(header.rows, self._width)
        # XGBoost refuses infinite features, of which there are none.
        return nothing if np.isinf(rows).any() else (body[:split], rows)


def _split(keys: bytes) -> list[bytes]:
    return [keys[start : start + KEY_BYTES] for start in range(0, len(keys), KEY_BYTES)]
