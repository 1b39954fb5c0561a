"""Tokens of the service: made, checked, rotated, revoked; the store holds digests of them only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row, select

from autotune.service.documents import utc_text, utc_text_or_none
from autotune.service.tables import TOKENS, USAGE
from autotune.service.token_documents import DayUsage, NewToken, Scope, TokenDocument
from search_spaces.errors import Misuse
from tuning_logs.sql.sql_store import SqlStore

_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 5
_SHAPE: Final = re.compile(r"at_([0-9a-f]{10})_([A-Za-z0-9_-]{43})")
_MOST_NAME: Final = 200
_DAY_SECS: Final = 86400
_SHOWN_DAYS: Final = 31
# Compared with where there is no token of an id, so that both take as long.
_NO_DIGEST: Final = "0" * 64


class Tokens:
    """The tokens in a store. clock: UNIX time in seconds."""

    def __init__(self, store: SqlStore, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    def create(self, name: str, scopes: Collection[Scope], valid_secs: float | None = None) -> NewToken:
        """Makes a token with 256 random bits. valid_secs: until it expires, None for never.

        Raises Misuse for a token without a name or a scope.
        """
        if not name.strip() or len(name) > _MOST_NAME or not scopes:
            raise Misuse(
                f"a token has a name of 1 to {_MOST_NAME} characters and at least one scope; found {name[:40]!r} and "
                f"{', '.join(scopes) or 'none'}",
                code="AT911",
            )
        if valid_secs is not None and not 0 < valid_secs < 100 * 366 * _DAY_SECS:
            raise Misuse(f"a token expires after a positive time; found {valid_secs:g} s", code="AT911")
        now = self._clock()
        token_id = secrets.token_hex(_ID_BYTES)
        secret = f"at_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        row = {
            "id": token_id,
            "name": name,
            "digest": _digest(secret),
            "scopes": " ".join(scope for scope in Scope if scope in scopes),
            "created": now,
            "expires": None if valid_secs is None else now + valid_secs,
        }
        self._store.write(lambda connection: connection.execute(TOKENS.insert().values(row)))
        return NewToken(self.get(token_id), secret)

    def check(self, secret: str) -> TokenDocument | None:
        """The token with that secret; None where there is none, or where it is expired or revoked."""
        found = _SHAPE.fullmatch(secret)
        rows = self._rows(found[1]) if found else []
        is_same = hmac.compare_digest(_digest(secret), rows[0].digest if rows else _NO_DIGEST)
        token = self._document(rows[0]) if rows and is_same else None
        return token if token is not None and token.is_valid else None

    def get(self, token_id: str) -> TokenDocument:
        """The token of an id, with its usage. Raises Misuse where there is none."""
        rows = self._rows(token_id)
        if not rows:
            raise Misuse(f"expected the id of a token, found {token_id[:40]!r}", code="AT903")
        since = int(self._clock()) // _DAY_SECS - _SHOWN_DAYS
        query = select(USAGE).where(USAGE.c.token == token_id, USAGE.c.day > since).order_by(USAGE.c.day)
        days = tuple(
            DayUsage(_day_text(row.day), row.requests, row.upload_bytes, row.jobs, row.run_secs)
            for row in self._store.rows(query)
        )
        return replace(self._document(rows[0]), usage=days)

    def all(self) -> tuple[TokenDocument, ...]:
        """All tokens, the oldest first, without their usage."""
        return tuple(map(self._document, self._store.rows(select(TOKENS).order_by(TOKENS.c.created))))

    def revoke(self, token_id: str) -> TokenDocument:
        """Makes a token invalid from now on. Raises Misuse where there is none."""
        change = TOKENS.update().where(TOKENS.c.id == token_id, TOKENS.c.revoked.is_(None))
        self._store.write(lambda connection: connection.execute(change.values(revoked=self._clock())))
        return self.get(token_id)

    def rotate(self, token_id: str) -> NewToken:
        """Makes a token of the same name, scopes and duration, and revokes the old one.

        Raises Misuse where the old one is not valid any more.
        """
        old = self.get(token_id)
        if not old.is_valid:
            raise Misuse(f"expected a valid token, found {old.prefix} expired or revoked", code="AT904")
        [row] = self._rows(token_id)
        made = self.create(old.name, old.scopes, row.expires and row.expires - row.created)
        self.revoke(token_id)
        return made

    def _rows(self, token_id: str) -> list[Row[Any]]:
        return self._store.rows(select(TOKENS).where(TOKENS.c.id == token_id))

    def _document(self, row: Row[Any]) -> TokenDocument:
        is_expired = row.expires is not None and row.expires <= self._clock()
        return TokenDocument(
            row.id,
            f"at_{row.id}_",
            row.name,
            tuple(Scope(text) for text in row.scopes.split()),
            utc_text(row.created),
            utc_text_or_none(row.expires),
            utc_text_or_none(row.revoked),
            utc_text_or_none(row.last_used),
            row.revoked is None and not is_expired,
        )


def _digest(secret: str) -> str:
    # Fast on purpose: 256 random bits cannot be guessed, whatever a guess costs.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _day_text(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_SECS, UTC).date().isoformat()
