"""Identities: a folder with a certificate, its key and tokens, by which a machine is known to others of its farm."""

from __future__ import annotations

import hmac
import json
import stat
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from search_spaces.errors import Misuse
from search_spaces.text_file import read_text

#: Names of the files in an identity's folder.
AUTHORITY, CERTIFICATE, KEY, SECRETS = "ca.pem", "certificate.pem", "key.pem", "identity.json"
#: Name of the list of revoked certificates, which may lie beside them.
REVOKED = "revoked.pem"
_URI = "autotune"
# The first second of the year 10000.
_LATEST = 253_402_300_800.0


class Role(Enum):
    """The kind of peer that a certificate names."""

    BOARD = "board"
    CLIENT = "client"
    TRACKER = "tracker"


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a certificate. name: of a client or a tracker; the key of a board, which all its like share."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{_URI}:{self.role.value}:{self.name}"


def parse_subject(uri: str) -> Subject | None:
    """The subject that a certificate's URI names, None for other URIs."""
    scheme, _, rest = uri.partition(":")
    role, _, name = rest.partition(":")
    if scheme != _URI or role not in {one.value for one in Role} or not name:
        return None
    return Subject(Role(role), name)


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    """Secrets beside the certificate.

    own:     what others prove to know who connect here; of boards and trackers;
    tracker: the token of the farm's tracker;
    farm:    the key from which the token of each board is derived; of clients.
    """

    own: bytes = b""
    tracker: bytes = b""
    farm: bytes = b""

    def of_peer(self, role: Role, fingerprint: bytes) -> bytes:
        """The token of a peer, by the SHA-256 digest of its certificate; empty where there is none for it."""
        if role is Role.TRACKER:
            return self.tracker
        return board_token(self.farm, fingerprint) if role is Role.BOARD and self.farm else b""


def board_token(farm: bytes, fingerprint: bytes) -> bytes:
    """The token of the board whose certificate has this SHA-256 digest."""
    return hmac.digest(farm, b"autotune board token" + fingerprint, "sha256")


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity that was read. expires: in seconds of the epoch."""

    folder: Path
    subject: Subject
    expires: float
    tokens: Tokens


def read_identity(folder: Path) -> Identity:
    """The identity of a folder, which can be used now.

    Raises Misuse where files are missing (AT760), secrets can be read by other users (AT761), or the certificate has
    expired (AT762).
    """
    for name in (AUTHORITY, CERTIFICATE, KEY, SECRETS):
        path = folder / name
        if not path.is_file():
            raise Misuse(
                f"expected an identity in {folder}, found no {name} there; make one with autotune keys",
                code="AT760",
            )
        if name in (KEY, SECRETS) and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Misuse(
                f"expected {path} to be readable for its owner alone, found mode "
                f"{stat.S_IMODE(path.stat().st_mode):04o}; chmod 600 it, or make new keys if others were here",
                code="AT761",
            )
    found = read_validity(folder)
    if found.expires <= time.time():
        day = time.strftime("%Y-%m-%d", time.gmtime(found.expires))
        raise Misuse(
            f"expected a valid certificate in {folder}, found one that expired on {day} by this machine's clock; "
            "make a new one with autotune keys",
            code="AT762",
        )
    return found


def read_validity(folder: Path) -> Identity:
    """The identity of a folder, usable or not. Raises Misuse where its file is not as it was written."""
    path = folder / SECRETS
    try:
        return _identity(folder, json.loads(read_text(path)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise Misuse(
            f"expected {path} to be as autotune keys writes it, found {error}; make it anew", code="AT760"
        ) from error


def _identity(folder: Path, fields: dict[str, Any]) -> Identity:
    tokens = Tokens(*(bytes.fromhex(fields[name]) for name in ("own", "tracker", "farm")))
    subject = Subject(Role(fields["role"]), str(fields["name"]))
    expires = float(fields["expires"])
    if not 0 <= expires < _LATEST:
        raise ValueError(f"the time {expires:g}")
    return Identity(folder, subject, expires, tokens)


def secrets_text(subject: Subject, expires: float, tokens: Tokens) -> str:
    """The text of the file with an identity's secrets."""
    secrets = {name: getattr(tokens, name).hex() for name in ("own", "tracker", "farm")}
    return json.dumps({"role": subject.role.value, "name": subject.name, "expires": expires, **secrets})
