"""Signatures: made by a private key in a file or by a program, checked by public keys. The only home of cryptography.

Ed25519 and ECDSA on P-256 with SHA-256, as cosign and the key services of clouds have them.
"""

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagematrix import secrecy
from imagematrix.errors import FlagError, RegistryError
from imagematrix.model import Signing
from imagematrix.shell import Shell

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

KEY_VARIABLE: Final = "IMAGEMATRIX_SIGNING_KEY"
"""The environment variable that names the file of the private key, instead of the matrix."""
_SECONDS: Final = 60.0
"""How long a program may take to sign."""
_END: Final = "-----END PUBLIC KEY-----\n"

Signer = Callable[[bytes], bytes]
"""Signs a text. Raises RegistryError."""


class Verifier:
    """Public keys, each of which is trusted: while one replaces another, both are."""

    def __init__(self, keys: Sequence["PublicKey"]) -> None:
        self._keys = tuple(keys)

    def accepts(self, text: bytes, signature: bytes) -> bool:
        """Whether one of the keys made this signature of a text."""
        return any(_is_made_by(key, text, signature) for key in self._keys)


def verifier(text: str, file: str) -> Verifier:
    """Return what checks signatures by the public keys of a PEM text. Raises FlagError, which names the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys: list[PublicKey] = []
    parts = [f"{part}{_END}" for part in f"{text.strip()}\n".split(_END) if part.strip()]
    for part in parts:
        try:
            key = load_pem_public_key(part.encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        is_curve = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
        if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey) or not (
            is_curve or isinstance(key, Ed25519PublicKey)
        ):
            raise FlagError(f"[signing] public: {file} contains something other than public keys\n    {_EXPECTED}")
        keys.append(key)
    if not keys:
        raise FlagError(f"[signing] public: {file} is empty\n    {_EXPECTED}")
    return Verifier(keys)


_EXPECTED: Final = (
    "expected PEM, Ed25519 or ECDSA P-256: openssl genpkey -algorithm ed25519 -out nodes.pem && "
    "openssl pkey -in nodes.pem -pubout -out nodes.pub"
)


def signer(declared: Signing, root: Path, shell: Shell, verifying: Verifier) -> Signer:
    """Return what signs: by the key's file, else by the program; what it makes must be valid by the public keys.

    Raises FlagError where there is neither, or the file holds no private key.
    """
    path = os.environ.get(KEY_VARIABLE) or declared.key
    if path:
        sign = _key((root / Path(path).expanduser()).resolve())
    elif declared.command:
        sign = _program(declared.command, shell, root)
    else:
        raise FlagError(
            "[signing] does not say how to sign nodes\n"
            f"    key = FILE or command = [PROGRAM, ...] below [signing], or the file in ${KEY_VARIABLE}"
        )

    def checked(text: bytes) -> bytes:
        signature = sign(text)
        if not verifying.accepts(text, signature):
            raise RegistryError("no public key of [signing] verifies the signature: was it made with another key?")
        return signature

    return checked


def _key(path: Path) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        content = path.read_bytes()
        secrecy.learn(content.decode(errors="replace"))
        key = load_pem_private_key(content, password=None)
    except OSError as error:
        raise FlagError(f"[signing] key: {path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it wants a password
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key.sign
    if isinstance(key, EllipticCurvePrivateKey):
        return lambda text: key.sign(text, ECDSA(SHA256()))
    raise FlagError(f"[signing] key: {path} holds no private key, or one with a password\n    {_EXPECTED}")


def _program(argv: Sequence[str], shell: Shell, root: Path) -> Signer:
    """Let a program sign: it reads the text, and prints the signature in base64."""

    def sign(text: bytes) -> bytes:
        said: list[bytes] = []
        try:
            code = shell.run(argv, env={"IMAGEMATRIX_ROOT": str(root)}, stdin=text, sink=said.append, seconds=_SECONDS)
        except (OSError, TimeoutError) as error:
            raise RegistryError(f"[signing] command: {argv[0]}: {error}") from None
        printed = b"".join(said)
        try:
            signature = base64.b64decode(b"".join(printed.split()), validate=True)
        except binascii.Error:
            signature = b""
        if code or not signature:
            words = printed.decode(errors="replace").strip().splitlines()[-1:]
            why = f"ended with exit code {code}" if code else "printed no signature in base64"
            raise RegistryError(": ".join([f"[signing] command: {argv[0]} {why}", *words]))
        return signature

    return sign


def _is_made_by(key: "PublicKey", text: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, text)
        else:
            key.verify(signature, text, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
