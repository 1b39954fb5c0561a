"""Cost model files: zip archives of a card in JSON and of boosters in XGBoost's UBJSON, which any tool opens."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from search_spaces.errors import Misuse
from tuning_logs.atomic_file import atomically

#: Of the files of this version, and of those before it.
SUFFIXES: Final = (".costmodel", ".ubj")
_CARD: Final = "card.json"
#: In the card: sha256 by booster; in files of earlier versions: name, size and sha256 of each booster.
_DIGESTS, _PARTS = "sha256", "parts"
#: A larger file, card or booster is no cost model: its memory is not to be taken. Ours have some megabytes.
_MOST_BYTES: Final = 1 << 26
_MOST_CARD_BYTES: Final = 1 << 22
_MOST_BOOSTERS: Final = 8
#: The record at an archive's end, and the size of the directory of members in it.
_END_BYTES: Final = 22
_DIRECTORY_BYTES: Final = slice(12, 16)
_MOST_DIRECTORY_BYTES: Final = 1 << 12
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: How files begin that XGBoost itself writes, as UBJSON and as JSON.
_XGBOOST: Final = (b"{L", b'{"learner"')

_Contents = tuple[dict[str, Any], dict[str, bytes]]


def write_model_file(path: Path, card: Mapping[str, Any], boosters: Mapping[str, bytes]) -> None:
    """Writes the card and the boosters, the same bytes for the same model; the file appears whole or not at all.

    Raises Misuse where the path cannot be written.
    """
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in boosters.items()}
    text = json.dumps({**card, _DIGESTS: digests}, indent=1, sort_keys=True)
    members = {_CARD: text.encode(), **{f"{name}.ubj": data for name, data in boosters.items()}}
    try:
        with atomically(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
            for name, data in members.items():
                member = zipfile.ZipInfo(name)
                member.external_attr = 0o644 << 16
                archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise Misuse(
            f"expected a place for a cost model at {path}, found: {error.strerror}", code="AT803"
        ) from error


def read_model_file(path: Path, kind: str) -> _Contents:
    """The card and the boosters by name; nothing in the file is executed, and every booster has its checksum.

    Raises Misuse where the file is missing, torn, changed, no cost model, or another kind of one.
    """
    if not os.path.isfile(path):
        raise Misuse(f"expected a cost model at {path}, found no such file; train one first", code="AT301")
    data = _bytes_of(path)
    if data.startswith(_XGBOOST):
        raise Misuse(
            f"expected a cost model in {path}, found a model of XGBoost's own, which does not say what its features "
            "are; train one from tuning logs: autotune cost-model train",
            code="AT302",
        )
    try:
        card, boosters = _read_zip(data) if data.startswith(b"PK") else _read_lines(data)
        kind_found = card.get("kind")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _not_whole(path) from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError) as error:
        raise _not_whole(path) from error
    if kind_found != kind:
        raise Misuse(f"expected a model of kind {kind!r} in {path}, found {kind_found!r}", code="AT302")
    return card, boosters


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Misuse(f"expected a cost model at {path}, found: {error.strerror}", code="AT301") from error
    if len(data) > _MOST_BYTES:
        raise _not_whole(path)
    return data


def _read_zip(data: bytes) -> _Contents:
    end = data[-_END_BYTES:]
    if not end.startswith(b"PK\5\6"):
        raise ValueError("bytes behind the archive's end record")
    if int.from_bytes(end[_DIRECTORY_BYTES], "little") > _MOST_DIRECTORY_BYTES:
        raise ValueError("more members than a card and a few boosters")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            most = _MOST_CARD_BYTES if member.filename == _CARD else _MOST_BYTES
            if member.compress_type not in _METHODS or member.file_size > most:
                raise ValueError("written by something else")
        card = json.loads(archive.read(_CARD))
        names = list(card[_DIGESTS])
        if len(names) > _MOST_BOOSTERS:
            raise ValueError("more boosters than a cost model has")
        boosters = {name: archive.read(f"{name}.ubj") for name in names}
    for name, digest in card.pop(_DIGESTS).items():
        _check(boosters[name], digest)
    return card, boosters


def _read_lines(data: bytes) -> _Contents:
    """The format before the zip: the card as a line of JSON, then the boosters."""
    head, _, body = data.partition(b"\n")
    card = json.loads(head)
    boosters, start = {}, 0
    for name, size, digest in card.pop(_PARTS):
        boosters[str(name)] = body[start : start + size]
        start += size
        _check(boosters[str(name)], digest)
    if start != len(body):
        raise ValueError("longer than its parts")
    return card, boosters


def _check(booster: bytes, digest: str) -> None:
    if hashlib.sha256(booster).hexdigest() != digest:
        raise ValueError("changed")


def _not_whole(path: Path) -> Misuse:
    return Misuse(f"{path} is not a whole cost model, or was changed; train or copy it again", code="AT302")
