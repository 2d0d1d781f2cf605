"""Who may join a cluster: mutual TLS off this machine, and how addresses are written.

Access to a scheduler's port is access to every machine. So off loopback there is nothing but TLS, in which each
side proves that it holds a certificate of the cluster.
"""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagematrix.cluster.certificates import AUTHORITY, CERTIFICATE, KEY, valid_until
from imagematrix.errors import FlagError, NoClusterError
from imagematrix.text import names

if TYPE_CHECKING:
    from distributed import Security

DEFAULT_PORT: Final = 8786
"""Dask's own."""
DEFAULT: Final = f"tcp://127.0.0.1:{DEFAULT_PORT}"
"""Where a scheduler listens that is given no address: this machine alone reaches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAddress:
    """Where a scheduler listens."""

    secure: bool
    host: str
    port: int

    @property
    def scheme(self) -> str:
        """How it is spoken to."""
        return "tls" if self.secure else "tcp"

    def __str__(self) -> str:
        """Return it as Dask writes it."""
        return f"{self.scheme}://{self.host}:{self.port}"


def address(text: str) -> ClusterAddress:
    """Read `tls://HOST[:PORT]` or, on this machine alone, `tcp://HOST[:PORT]`. Raises FlagError for anything else."""
    scheme, separator, rest = text.partition("://")
    host, _, port = rest.rpartition(":") if ":" in rest.rpartition("]")[2] else (rest, "", str(DEFAULT_PORT))
    if scheme not in {"tls", "tcp"} or not separator or not host or not port.isdecimal() or int(port) > 2**16 - 1:
        raise FlagError(f"{text!r} is not a valid address of a scheduler: expected tls://HOST:PORT")
    if scheme == "tcp" and not names.is_loopback(host):
        raise FlagError(
            f"{text}: without TLS, anyone who reaches that port could run programs on every machine\n"
            f"    run `imagematrix cluster certificates DIR`, copy DIR to each machine, and use tls://{host}:{port}"
        )
    return ClusterAddress(secure=scheme == "tls", host=host, port=int(port))


def reach(to: ClusterAddress, *, seconds: float) -> None:
    """See that somebody listens at an address. Raises OSError.

    Dask tries again and again where nobody does, for as long as it may, and then does not say why it failed.
    """
    socket.create_connection((to.host.strip("[]"), to.port), timeout=seconds).close()


def security(to: ClusterAddress, certificates: str) -> "Security | None":
    """Return what Dask must know to speak to, or as, a scheduler; None for plain TCP on this machine.

    Raises FlagError for a folder without certificates, NoClusterError for certificates that have expired.
    """
    if not to.secure:
        return None
    if not certificates:
        raise FlagError(
            f"{to}: name the folder of the cluster's certificates: --certificates DIR, or IMAGEMATRIX_CERTIFICATES\n"
            "    `imagematrix cluster certificates DIR` makes them"
        )
    folder = Path(certificates).expanduser().absolute()
    missing = [name for name in (AUTHORITY, CERTIFICATE, KEY) if not (folder / name).is_file()]
    if missing:
        raise FlagError(
            f"{folder} has no {missing[0]}: `imagematrix cluster certificates {certificates}` makes new certificates"
        )
    _refuse_readable(folder / KEY)
    _refuse_expired(folder / CERTIFICATE)
    from distributed import Security

    pair = {"cert": str(folder / CERTIFICATE), "key": str(folder / KEY)}
    roles = {f"tls_{role}_{part}": path for role in ("client", "scheduler", "worker") for part, path in pair.items()}
    return Security(require_encryption=True, tls_ca_file=str(folder / AUTHORITY), **roles)


def _refuse_readable(key: Path) -> None:
    """Do as ssh does with private keys."""
    found = key.stat()
    if found.st_mode & 0o077 or found.st_uid not in {os.getuid(), 0}:
        raise FlagError(f"{key} can be read by others: `chmod 600 {key}`")


def _refuse_expired(certificate: Path) -> None:
    until = valid_until(certificate.read_bytes())
    if until is None:
        raise FlagError(f"{certificate} is not a certificate in PEM")
    if until < datetime.now(UTC):
        raise NoClusterError(
            f"{certificate} expired on {until:%Y-%m-%d}\n"
            "    run `imagematrix cluster certificates DIR` with a new DIR, copy DIR to each machine, restart them all"
        )
