"""Signatures of artefacts that are sent to a board: HMAC-SHA256 by the session's key.

A signature holds for one session, one place in its sequence, one purpose and one content.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from autotune.transport.handshake import SessionKey

#: In errors of boards that were sent something that is not signed as it should be.
REFUSED = "autotune refused an artefact"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of an artefact. sequence: its place among those of the session, from 0."""

    sequence: int
    digest: bytes


class Signer:
    """Signs the artefacts of a session, one after the other."""

    def __init__(self, session: SessionKey) -> None:
        self._session = session
        self._next = 0

    def sign(self, purpose: str, content: bytes) -> Signature:
        """The signature of the session's next artefact. purpose: what the board is to do with it."""
        sequence, self._next = self._next, self._next + 1
        return Signature(sequence, _digest(self._session, purpose, sequence, content))


class Verifier:
    """Checks the artefacts of a session in their order."""

    def __init__(self, session: SessionKey) -> None:
        self._session = session
        self._next = 0

    def verify(self, purpose: str, content: bytes, signature: Signature) -> None:
        """Accepts the next artefact. Raises PermissionError where it is another one, and expects that one still."""
        if signature.sequence != self._next:
            raise PermissionError(
                f"{REFUSED}: expected number {self._next} of the session, found number {signature.sequence}"
            )
        expected = _digest(self._session, purpose, self._next, content)
        if not hmac.compare_digest(expected, signature.digest):
            raise PermissionError(f"{REFUSED}: its signature is not that of number {self._next}")
        self._next += 1


def _digest(session: SessionKey, purpose: str, sequence: int, content: bytes) -> bytes:
    name = purpose.encode()
    head = struct.pack(">I", len(name)) + name + struct.pack(">QQ", sequence, len(content))
    signed = b"autotune artefact" + session.session + head + hashlib.sha256(content).digest()
    return hmac.digest(session.key, signed, "sha256")
