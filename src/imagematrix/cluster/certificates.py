"""The certificates of a cluster: an authority of its own, and one certificate that all its machines share."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagematrix.errors import FlagError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder, Name

AUTHORITY: Final = "ca.pem"
CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
"""The files of a folder of certificates."""

VALID: Final = timedelta(days=365)
"""Renewing takes one command and a copy to each machine; a key that leaked unnoticed is worthless after a year."""
_CLOCKS_DIFFER: Final = timedelta(minutes=10)


def make(folder: Path, *, now: datetime | None = None) -> datetime:
    """Write the certificates of a new cluster into a folder; return until when they are valid.

    The key of the authority is not kept: nobody can add a certificate later. Raises FlagError for a folder that
    already has certificates.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    begin = now or datetime.now(UTC)
    if found := [name for name in (AUTHORITY, CERTIFICATE, KEY) if (folder / name).exists()]:
        raise FlagError(f"{folder} already has {found[0]}: choose a new directory")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, begin)
    certificate = _member(key, authority, authority_key, begin)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(folder / KEY, private, 0o600)
    _write(folder / AUTHORITY, authority.public_bytes(Encoding.PEM), 0o644)
    _write(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM), 0o644)
    return certificate.not_valid_after_utc


def valid_until(pem: bytes) -> datetime | None:
    """Return until when a certificate is valid; None: this is not a certificate."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(pem).not_valid_after_utc
    except ValueError:
        return None


def _authority(key: "EllipticCurvePrivateKey", begin: datetime) -> "Certificate":
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import BasicConstraints

    built = _certificate("imagematrix cluster authority", begin).issuer_name(_name("imagematrix cluster authority"))
    built = built.public_key(key.public_key()).add_extension(BasicConstraints(ca=True, path_length=0), critical=True)
    return built.sign(key, SHA256())


def _member(
    key: "EllipticCurvePrivateKey", authority: "Certificate", authority_key: "EllipticCurvePrivateKey", begin: datetime
) -> "Certificate":
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import BasicConstraints, ExtendedKeyUsage
    from cryptography.x509.oid import ExtendedKeyUsageOID

    both = ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    built = _certificate("imagematrix cluster", begin).issuer_name(authority.subject).public_key(key.public_key())
    built = built.add_extension(BasicConstraints(ca=False, path_length=None), critical=True)
    return built.add_extension(both, critical=False).sign(authority_key, SHA256())


def _certificate(name: str, begin: datetime) -> "CertificateBuilder":
    from cryptography.x509 import CertificateBuilder, random_serial_number

    built = CertificateBuilder().subject_name(_name(name)).serial_number(random_serial_number())
    return built.not_valid_before(begin - _CLOCKS_DIFFER).not_valid_after(begin + VALID)


def _name(text: str) -> "Name":
    from cryptography.x509 import Name, NameAttribute
    from cryptography.x509.oid import NameOID

    return Name([NameAttribute(NameOID.COMMON_NAME, text)])


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file whose mode is right before it has a content."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
