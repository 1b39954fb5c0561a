"""Records copied from one store to another, whatever each is kept in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

from tuning_logs.file.log import TuningLog
from tuning_logs.format.line import encode_line
from tuning_logs.format.record_line import record_line
from tuning_logs.record_store import RecordStore
from tuning_logs.records.record import TuningRecord

_BATCH = 1000


def copy_records(source: RecordStore, into: RecordStore) -> int:
    """Appends the records that are not there yet, a thousand at a time, and says how many those were.

    Records are the same where their lines would be. Raises what `append` raises.
    """
    before = len(into)
    records = source.iterate()
    if isinstance(into, TuningLog):
        # A database sees to that by itself.
        records = _new(records, {_digest(record) for record in into.iterate()})
    while batch := list(islice(records, _BATCH)):
        into.append(batch)
    return len(into) - before


def _new(records: Iterator[TuningRecord], seen: set[bytes]) -> Iterator[TuningRecord]:
    for record in records:
        digest = _digest(record)
        if digest not in seen:
            seen.add(digest)
            yield record


def _digest(record: TuningRecord) -> bytes:
    return hashlib.blake2b(encode_line(record_line(record)), digest_size=16).digest()
