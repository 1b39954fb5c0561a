"""The certificates that an authority has issued, a file each in its folder (imports cryptography)."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_FOLDER = "issued"


def note_issued(authority: Path, name: str, certificate: x509.Certificate) -> None:
    """Keeps a certificate that was issued under a name, so that it can be revoked."""
    folder = authority / _FOLDER / name
    # Parents that `mkdir` makes on the way are open to all.
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{certificate.serial_number:x}.pem"
    path.touch(mode=0o600)
    path.write_bytes(certificate.public_bytes(Encoding.PEM))


def issued(authority: Path, name: str) -> list[x509.Certificate]:
    """The certificates that were issued under a name."""
    return [
        x509.load_pem_x509_certificate(path.read_bytes())
        for path in sorted((authority / _FOLDER / name).glob("*.pem"))
    ]


def issued_names(authority: Path) -> list[str]:
    """The names under which certificates were issued."""
    return sorted(path.name for path in (authority / _FOLDER).glob("*"))
