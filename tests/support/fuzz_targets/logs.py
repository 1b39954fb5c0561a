"""Tuning logs and their indexes: opened, looked up, merged."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from repository import GOLDEN

from fuzz_targets.edits import edited
from search_spaces.errors import AutotuneError
from tuning_logs import TuningLog
from tuning_logs.file import follower
from tuning_logs.file.log_file import index_path
from tuning_logs.file.merging import merge

# So that a small log has an index to be forged.
follower._WORTH_AN_INDEX = 1  # type: ignore[misc]


def seeds() -> Iterator[bytes]:
    """The first lines of the golden logs, with checksums as they are, and to be mended; edits of an index."""
    for golden in GOLDEN.glob("*.jsonl"):
        lines = golden.read_bytes().splitlines(keepends=True)
        for kind in (b"\x00", b"\x80"):
            yield kind + b"".join(lines[:4] + lines[-1:])
    yield b"\xc0{}"
    yield b"\xe0" + bytes(range(40))


def with_checksums(data: bytes) -> bytes:
    """The same lines with right checksums, so that what is behind them is reached too."""
    lines = []
    for line in data.splitlines():
        head, found, _ = line.rpartition(b',"crc":"')
        lines.append(head + b',"crc":"%08x"}' % zlib.crc32(head) if found else line)
    return b"\n".join(lines)


def read(data: bytes, folder: Path) -> None:
    """Opens a log and its index, looks everything up, and merges it."""
    kind, data = data[:1], data[1:]
    path = folder / "log.jsonl"
    if kind < b"\x40":
        path.write_bytes(data)
    elif kind < b"\xc0":
        path.write_bytes(with_checksums(data))
    else:
        path.write_bytes(next(GOLDEN.glob("*.jsonl")).read_bytes())
        index = data if kind < b"\xd0" else forged_index(path, data)
        index_path(path).write_bytes(index)
    with contextlib.suppress(AutotuneError):
        log = TuningLog.read(path)
        records = list(log.iterate())
        for outcomes in log.trial_counts():
            log.best(outcomes.task, outcomes.device)
        if kind < b"\xd0":
            assert len(records) == len(log)
            assert repr(list(TuningLog.read(path).iterate())) == repr(records)
    with contextlib.suppress(AutotuneError):
        merge([path], folder / "merged.jsonl")


def forged_index(path: Path, data: bytes) -> bytes:
    """The index of a log with edits in its header, and in its rows with the right checksum."""
    with TuningLog.open(path) as log:
        list(log.iterate())
    head, _, rows = index_path(path).read_bytes().partition(b"\n")
    place = data[0] if data else 0
    rows = rows[:place] + data[1:9] + rows[place + len(data[1:9]) :]
    header = {**msgspec.json.decode(head), "rows_crc": zlib.crc32(rows)}
    try:
        return msgspec.json.encode(edited(header, data[9:]) if len(data) > 9 else header) + b"\n" + rows
    except (TypeError, ValueError, OverflowError):
        return rows
