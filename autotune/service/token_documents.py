"""The documents of tokens, shown as the same JSON by REST, client and commands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """A right of a token: to read, to upload and submit, to administer tokens. Each of them is granted by itself."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


@dataclass(frozen=True)
class DayUsage:
    """The use of a token on one day."""

    day: str
    requests: int
    upload_bytes: int
    jobs: int
    run_secs: float


@dataclass(frozen=True)
class TokenDocument:
    """A token without its secret; prefix: the part of it that may be shown."""

    id: str
    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    created: str
    expires: str | None
    revoked: str | None
    last_used: str | None
    is_valid: bool
    usage: tuple[DayUsage, ...] = ()


@dataclass(frozen=True)
class NewToken:
    """A token that was just made, with its secret, which is shown this once."""

    token: TokenDocument
    secret: str
