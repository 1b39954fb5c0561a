"""TLS 1.3 between the members of a farm, each with a certificate of the farm's own authority."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autotune.transport.handshake import (
    Certificates,
    Refusal,
    SessionKey,
    demand_proof,
    prove_to_server,
    send,
)
from autotune.transport.identity import (
    AUTHORITY,
    CERTIFICATE,
    KEY,
    REVOKED,
    Identity,
    Role,
    Subject,
    parse_subject,
)
from search_spaces.errors import Misuse


@dataclass(frozen=True, slots=True)
class SecureStream:
    """A connection whose two ends have proved who they are. peer: the subject of the other end's certificate."""

    stream: ssl.SSLSocket
    peer: Subject
    session_key: SessionKey


def server_context(identity: Identity) -> ssl.SSLContext:
    """TLS for a server that demands certificates of its own authority, none of them revoked by now.

    Raises Misuse for unreadable files.
    """
    context = _context(identity, ssl.PROTOCOL_TLS_SERVER)
    # Nothing is resumed: each connection shows its certificates.
    context.num_tickets = 0
    return context


def client_context(identity: Identity) -> ssl.SSLContext:
    """TLS for a client that trusts its own authority alone, and no certificate that it has revoked by now.

    Raises Misuse for unreadable files.
    """
    context = _context(identity, ssl.PROTOCOL_TLS_CLIENT)
    # Boards are reached at any address: the role and the key in the certificate are compared instead.
    context.check_hostname = False
    return context


def _context(identity: Identity, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    folder = identity.folder
    try:
        context.load_verify_locations(folder / AUTHORITY)
        context.load_cert_chain(folder / CERTIFICATE, folder / KEY)
        if (folder / REVOKED).exists():
            context.load_verify_locations(folder / REVOKED)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    except (OSError, ValueError) as error:
        raise Misuse(
            f"expected a certificate and its key in {folder}, found {error}; make them anew with autotune keys",
            code="AT760",
        ) from error
    return context


def connect_securely(
    stream: socket.socket, identity: Identity, expected: Subject | Role, timeout_secs: float
) -> SecureStream:
    """Takes the client's part on a connection. expected: the other end's role; of a board, its name as well.

    Raises Refusal where the other end is another one, or refuses this one; TimeoutError.
    """
    deadline = time.monotonic() + timeout_secs
    stream.settimeout(timeout_secs)
    try:
        secured = client_context(identity).wrap_socket(stream)
        with _closed_unless_good(secured):
            peer = _peer(secured)
            if expected not in (peer, peer.role):
                raise Refusal(f"expected {_show(expected)}, found one with a certificate for {peer}")
            certificates = Certificates(_fingerprint(secured), _own_fingerprint(identity))
            token = identity.tokens.of_peer(peer.role, certificates.server)
            session_key = prove_to_server(secured, token, certificates, deadline)
    except ssl.SSLError as error:
        raise Refusal(f"expected {_show(expected)} of the same farm, found {_reason(error)}") from error
    secured.settimeout(None)
    return SecureStream(secured, peer, session_key)


def accept_securely(
    stream: socket.socket, identity: Identity, roles: Collection[Role], secs: float
) -> SecureStream:
    """Takes the server's part on a connection within so many seconds.

    Raises Refusal for peers of other roles or without the token, OSError, which TLS's and time's are, and Misuse for
    unreadable files of the identity's.
    """
    deadline = time.monotonic() + secs
    stream.settimeout(secs)
    # A new context each time: certificates are revoked while servers run.
    secured = server_context(identity).wrap_socket(stream, server_side=True)
    with _closed_unless_good(secured):
        peer = _peer(secured)
        if peer.role not in roles:
            send(secured, {"refused": f"a {peer.role.value}'s certificate does not let in here"})
            raise Refusal(f"expected a {' or '.join(role.value for role in roles)}, found {peer}")
        certificates = Certificates(_own_fingerprint(identity), _fingerprint(secured))
        session_key = demand_proof(secured, identity.tokens.own, certificates, deadline)
    secured.settimeout(None)
    return SecureStream(secured, peer, session_key)


@contextmanager
def _closed_unless_good(stream: ssl.SSLSocket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stream.close()
        raise


def _own_fingerprint(identity: Identity) -> bytes:
    der = ssl.PEM_cert_to_DER_cert((identity.folder / CERTIFICATE).read_text())
    return hashlib.sha256(der).digest()


def _fingerprint(stream: ssl.SSLSocket) -> bytes:
    return hashlib.sha256(stream.getpeercert(binary_form=True) or b"").digest()


def _peer(stream: ssl.SSLSocket) -> Subject:
    names = (stream.getpeercert() or {}).get("subjectAltName", ())
    found = [parse_subject(str(name[1])) for name in names if name[0] == "URI"]
    if len(found) != 1 or found[0] is None:
        raise Refusal("expected a certificate that names a role and a name, found another one")
    return found[0]


def _show(expected: Subject | Role) -> str:
    return (
        f"a {expected.value}"
        if isinstance(expected, Role)
        else f"a {expected.role.value} under {expected.name!r}"
    )


def _reason(error: ssl.SSLError) -> str:
    """The part of OpenSSL's message that says what happened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"a certificate that is not accepted: {error.verify_message}"
    return str(error.reason or error).lower().replace("_", " ")
