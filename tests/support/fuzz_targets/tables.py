"""Tables of recorded spaces: read and searched, or refused."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path

from search_spaces.errors import AutotuneError
from search_spaces.tabular_space import TabularSpace

_TABLE = b"block,unroll,status,mean_ms,cost_s\n16,a,ok,2.0,3.0\n16,b,ok,1.5,3.0\n32,a,failed,,0.5\n32,b,timeout,,9\n"


def seeds() -> Iterator[bytes]:
    """A table, plain and packed."""
    yield b"\x00" + _TABLE
    yield b"\x80" + gzip.compress(_TABLE, mtime=0)
    yield b"\x40" + _TABLE


def read(data: bytes, folder: Path) -> None:
    """Reads a table, plain, packed, or to be packed, and replays its rows."""
    kind, data = data[:1], data[1:]
    path = folder / ("table.csv" if kind < b"\x40" else "table.csv.gz")
    path.write_bytes(gzip.compress(data, mtime=0) if b"\x40" <= kind < b"\x80" else data)
    with contextlib.suppress(AutotuneError):
        space = TabularSpace(path)
        assert space.best_secs > 0 and space.size >= 1
        for config, outcome in space.table.items():
            assert space.apply(config).schedule == outcome
        space.apply(space.default)
