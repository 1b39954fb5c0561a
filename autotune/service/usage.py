"""Usage of tokens, counted in memory and written every now and then: a request does not wait for the disk."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy

from autotune.service.tables import TOKENS, USAGE
from tuning_logs.sql.sql_store import SqlStore

_DAY_SECS: Final = 86400


@dataclass
class _Counters:
    requests: int = 0
    upload_bytes: int = 0
    jobs: int = 0
    run_secs: float = 0.0


class UsageCounter:
    """Counters by token and day. A server that is killed loses those of the last second."""

    def __init__(self, store: SqlStore, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._counted: dict[tuple[str, int], _Counters] = defaultdict(_Counters)

    def count(
        self,
        token: str | None,
        requests: int = 0,
        upload_bytes: int = 0,
        jobs: int = 0,
        run_secs: float = 0.0,
    ) -> None:
        """Adds to the counters of a token; None for anonymous requests, which are not counted."""
        if token is None:
            return
        with self._lock:
            found = self._counted[token, int(self._clock()) // _DAY_SECS]
            found.requests += requests
            found.upload_bytes += upload_bytes
            found.jobs += jobs
            found.run_secs += run_secs

    def flush(self) -> None:
        """Adds what was counted to the store."""
        with self._lock:
            counted, self._counted = self._counted, defaultdict(_Counters)
        if counted:
            self._store.write(lambda connection: self._write(connection, counted))

    def _write(self, connection: sqlalchemy.Connection, counted: dict[tuple[str, int], _Counters]) -> None:
        for (token, day), found in counted.items():
            changes = {column: USAGE.c[column] + value for column, value in vars(found).items() if value}
            here = sqlalchemy.and_(USAGE.c.token == token, USAGE.c.day == day)
            if not changes:
                continue
            if not connection.execute(USAGE.update().where(here).values(changes)).rowcount:
                connection.execute(USAGE.insert().values(token=token, day=day, **vars(found)))
            if found.requests:
                used = TOKENS.update().where(TOKENS.c.id == token)
                connection.execute(used.values(last_used=self._clock()))
