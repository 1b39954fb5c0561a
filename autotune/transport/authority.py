"""The certificate authority of a farm, and the identities that it issues (imports cryptography).

Keys are ECDSA over P-256. Each certificate names its role and name in a URI of its subjectAltName.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from autotune.transport.identity import (
    AUTHORITY,
    CERTIFICATE,
    KEY,
    REVOKED,
    SECRETS,
    Role,
    Subject,
    Tokens,
    board_token,
    secrets_text,
)
from autotune.transport.issued import note_issued
from search_spaces.errors import Misuse
from search_spaces.text_file import read_text

_TOKEN_BYTES = 32
# Clocks of boards are not exact.
_BACKDATED = timedelta(hours=1)
_USAGES = {
    Role.BOARD: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    Role.TRACKER: [ExtendedKeyUsageOID.SERVER_AUTH],
    Role.CLIENT: [ExtendedKeyUsageOID.CLIENT_AUTH],
}


@dataclass(frozen=True, slots=True)
class Issue:
    """A request for an identity. folder: where it is to be; valid: its duration."""

    subject: Subject
    folder: Path
    valid: timedelta


@dataclass(frozen=True, slots=True, repr=False)
class CertificateAuthority:
    """An authority that was read."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    tracker_token: bytes
    farm_token: bytes

    def issue(self, request: Issue, now: datetime | None = None) -> datetime:
        """Writes an identity into a folder, which must be new; the end of its validity, the authority's at the latest.

        now: by default the time by the clock. Raises Misuse where the folder is there already.
        """
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        expires = min(now + request.valid, self.certificate.not_valid_after_utc)
        certificate = self._signed(key, request.subject, _Period(now, expires))
        tokens = self._tokens(request.subject.role, certificate.fingerprint(hashes.SHA256()))
        folder, pem = request.folder, serialization.Encoding.PEM
        _make_folder(folder)
        _write(folder / AUTHORITY, self.certificate.public_bytes(pem))
        _write(folder / CERTIFICATE, certificate.public_bytes(pem))
        _write(folder / KEY, _private_pem(key))
        _write(folder / SECRETS, secrets_text(request.subject, expires.timestamp(), tokens).encode())
        if (revoked := self.folder / REVOKED).is_file():
            _write(folder / REVOKED, revoked.read_bytes())
        note_issued(self.folder, folder.name, certificate)
        return expires

    def _tokens(self, role: Role, fingerprint: bytes) -> Tokens:
        match role:
            case Role.BOARD:
                return Tokens(board_token(self.farm_token, fingerprint), self.tracker_token)
            case Role.TRACKER:
                return Tokens(self.tracker_token)
            case Role.CLIENT:
                return Tokens(tracker=self.tracker_token, farm=self.farm_token)

    def _signed(self, key: ec.EllipticCurvePrivateKey, subject: Subject, period: _Period) -> x509.Certificate:
        issuer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
        name = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(subject))])
        common_name = _name(f"{subject.role.value} {subject.name}")
        return (
            _builder(key, period, common_name, self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_USAGES[subject.role]), critical=False)
            .add_extension(name, critical=False)
            .add_extension(authority_key, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def make_authority(folder: Path, valid: timedelta, now: datetime | None = None) -> None:
    """Writes a new authority into a folder, which must be new. Raises Misuse where it is there already."""
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"autotune farm {secrets.token_hex(4)}")
    certificate = (
        _builder(key, _Period(now, now + valid), name, name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    tokens = {name: secrets.token_bytes(_TOKEN_BYTES).hex() for name in ("tracker", "farm")}
    _make_folder(folder)
    _write(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))
    _write(folder / KEY, _private_pem(key))
    _write(folder / SECRETS, json.dumps(tokens).encode())


def read_authority(folder: Path) -> CertificateAuthority:
    """The authority of a folder. Raises Misuse where there is none."""
    try:
        key = serialization.load_pem_private_key((folder / KEY).read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        tokens = json.loads(read_text(folder / SECRETS))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return CertificateAuthority(
            folder, key, certificate, bytes.fromhex(tokens["tracker"]), bytes.fromhex(tokens["farm"])
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AssertionError,
        RecursionError,
        UnsupportedAlgorithm,
    ) as error:
        raise Misuse(
            f"expected the farm's authority in {folder}, found {error}; make one with autotune keys authority",
            code="AT760",
        ) from error


@dataclass(frozen=True, slots=True)
class _Period:
    start: datetime
    end: datetime


def _builder(
    key: ec.EllipticCurvePrivateKey, period: _Period, subject: x509.Name, issuer: x509.Name
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(period.start - _BACKDATED)
        .not_valid_after(period.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """The key signs certificates, or TLS handshakes."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise Misuse(
            f"expected no {folder} yet, so that no key is overwritten, found one; name another folder or remove it",
            code="AT766",
        ) from error


def _write(path: Path, content: bytes) -> None:
    """Writes a file that its owner alone can read, from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
