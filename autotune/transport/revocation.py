"""Revocation of a farm's certificates: a list that its authority signs (imports cryptography).

The list lies beside the certificates of each member, who reads it at every handshake.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from autotune.transport.authority import CertificateAuthority
from autotune.transport.identity import CERTIFICATE, REVOKED
from autotune.transport.issued import issued, issued_names
from search_spaces.errors import Misuse

# Clocks of boards are not exact.
_BACKDATED = timedelta(hours=1)


def revoke(authority: CertificateAuthority, name: str, now: datetime | None = None) -> list[int]:
    """Revokes all certificates that were issued under a name so far; the serial numbers of all that are revoked now.

    now: by default the time by the clock. Raises Misuse where none was issued under the name.
    """
    now = now or datetime.now(UTC)
    found = issued(authority.folder, name) or _certificate_beside(authority.folder, name)
    if not found:
        known = ", ".join(issued_names(authority.folder)) or "none"
        raise Misuse(
            f"expected the name of an identity that was issued, as the folder was called, found {name!r}; there are: "
            f"{known}",
            code="AT773",
        )
    numbers = dict.fromkeys([*_revoked(authority), *(one.serial_number for one in found)])
    list_ = _signed_list(authority, list(numbers), now)
    _replace(authority.folder / REVOKED, list_)
    return list(numbers)


def spread(authority: Path) -> list[Path]:
    """Copies the list to the identities that lie beside the authority's folder; their folders."""
    found = sorted(
        path.parent for path in authority.parent.glob(f"*/{CERTIFICATE}") if path.parent != authority
    )
    for folder in found:
        _replace(folder / REVOKED, (authority / REVOKED).read_bytes())
    return found


def _certificate_beside(authority: Path, name: str) -> list[x509.Certificate]:
    """The certificate of an identity that was issued before authorities kept them."""
    path = authority.parent / name / CERTIFICATE
    return [x509.load_pem_x509_certificate(path.read_bytes())] if path.is_file() and name else []


def _revoked(authority: CertificateAuthority) -> list[int]:
    path = authority.folder / REVOKED
    if not path.is_file():
        return []
    try:
        return [one.serial_number for one in x509.load_pem_x509_crl(path.read_bytes())]
    except ValueError as error:
        raise Misuse(
            f"expected the list of revoked certificates in {path}, found {error}; put a copy from a board there",
            code="AT760",
        ) from error


def _signed_list(authority: CertificateAuthority, numbers: list[int], now: datetime) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _BACKDATED)
        .next_update(authority.certificate.not_valid_after_utc)
    )
    for number in numbers:
        one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - _BACKDATED).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _replace(path: Path, content: bytes) -> None:
    """Replaces a file in one step, since a handshake may read it at any moment."""
    part = path.with_name(f"{path.name}.new")
    part.write_bytes(content)
    os.replace(part, path)
