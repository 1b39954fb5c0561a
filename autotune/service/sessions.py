"""Sessions of browsers: opened with a token, found by a cookie of which the store holds a digest only."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from autotune.service.tables import SESSIONS
from autotune.service.token_documents import TokenDocument
from autotune.service.tokens import Tokens
from tuning_logs.sql.sql_store import SqlStore

_SECRET_BYTES: Final = 32
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
#: From signing in until it is needed again.
SESSION_SECS: Final = 7 * 86400.0


class Sessions:
    """The sessions in a store. clock: UNIX time in seconds."""

    def __init__(self, store: SqlStore, tokens: Tokens, clock: Callable[[], float] = time.time) -> None:
        self._store, self._tokens, self._clock = store, tokens, clock

    def open(self, token: str) -> str:
        """Opens a session for a token, by its id, and returns the secret of its cookie."""
        secret = new_secret()
        row = {"digest": _digest(secret), "token": token, "expires": self._clock() + SESSION_SECS}
        self._store.write(lambda connection: connection.execute(SESSIONS.insert().values(row)))
        return secret

    def token(self, secret: str) -> TokenDocument | None:
        """The token of a session; None where there is no such session, or where it or its token is not valid."""
        is_here = (SESSIONS.c.digest == _digest(secret)) & (SESSIONS.c.expires > self._clock())
        rows = self._store.rows(select(SESSIONS.c.token).where(is_here))
        token = self._tokens.get(rows[0].token) if rows else None
        return token if token is not None and token.is_valid else None

    def close(self, secret: str) -> None:
        """Ends a session, if there is one."""
        gone = SESSIONS.delete().where(SESSIONS.c.digest == _digest(secret))
        self._store.write(lambda connection: connection.execute(gone))

    def tidy(self) -> None:
        """Deletes sessions that have expired."""
        gone = SESSIONS.delete().where(SESSIONS.c.expires <= self._clock())
        self._store.write(lambda connection: connection.execute(gone))


def new_secret() -> str:
    """A secret for a cookie, of 256 random bits."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def is_secret(text: str) -> bool:
    """Whether a text has the form of such a secret."""
    return _SHAPE.fullmatch(text) is not None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
