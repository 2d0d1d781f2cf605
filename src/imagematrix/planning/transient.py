"""Tells failures that may pass by themselves from real ones. Data first: one pattern a line, each seen in the wild.

A missing package, a wrong hash or a compiler error is never transient, whatever else the output says: unless
the one who says it could not look.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from imagematrix.errors import DeniedError, DoubtError, SilentRegistryError, UserError
from imagematrix.model import Flake, FlakeKind
from imagematrix.planning.failure.remedies import DISK_FULL
from imagematrix.text.names import host

_INTERNAL_ERROR: Final = 100
"""buildx's exit code for an error of the engine's own (buildx 0.25, cmd/buildx/main.go)."""

_GAVE_UP: Final = r"Retrying \(Retry\(total=0,"
"""After its last retry pip continues with an empty index: what it then reports as missing may exist."""

_NOT_FETCHED: Final = r"W: (?:Failed to fetch|Some index files failed)"
"""After that apt continues with the lists that it has: what it then reports as missing may exist."""

_MISSING: Final = re.compile(
    r"No matching distribution found|Could not find a version that satisfies"
    r"|Unable to locate package|has no installation candidate|Version '.*' for '.*' was not found"
)

_PERMANENT: Final = (
    r"No solution found when resolving",
    # someone may have tampered with a package: another try would hide it
    r"Hash mismatch|hash mismatch|(?i:do not match the hashes)|did NOT match|ChecksumMismatch",
    r"(?:NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG) ",
    r"(?i:certificate verify failed)|CERTIFICATE_VERIFY_FAILED|invalid peer certificate|SSL certificate problem",
    r"[Cc]ertificate verification failed|cannot verify [^\n]*certificate",
    r"40[134] +(?:Unauthorized|Forbidden|Not Found)|(?:returned error: |ERROR |HTTP error )40[134]\b",
    DISK_FULL,
    r"dockerfile parse error",
)

_TRANSIENT: Final = (
    # names, connections, servers, as apt, curl, uv, pip and the engine put it
    (
        FlakeKind.LIMIT,
        r"429 +Too Many Requests|toomanyrequests|HTTP status client error \(429|(?:(?i:error):? |code )429\b",
    ),
    (FlakeKind.SERVER, r"(?:HTTP[^\n]{0,40}|(?i:error):? |status code )50[0234]\b"),
    (FlakeKind.SERVER, r"50[0234] +(?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)"),
    (FlakeKind.SERVER, r"Hash Sum mismatch|Mirror sync in progress"),
    # before the network: its connection is refused too
    (FlakeKind.ENGINE, r"Cannot connect to the Docker daemon|dial unix [^\n]+: connect: "),
    (FlakeKind.NETWORK, r"Temporary failure in name resolution|Temporary failure resolving|Could not resolve"),
    (FlakeKind.NETWORK, r"server misbehaving"),
    (FlakeKind.NETWORK, r"[Cc]onnection (?:reset|refused|timed out|aborted|broken)|Connection failed"),
    (
        FlakeKind.NETWORK,
        r"(?i:read|operation|request) timed out|TLS handshake timeout|(?:i/o|network) timeout|Operation too slow",
    ),
    (FlakeKind.NETWORK, r"error sending request|error decoding response body|IncompleteRead|RemoteDisconnected"),
    (FlakeKind.NETWORK, r"unable to resolve host|Name or service not known|dns error|No route to host|is unreachable"),
    (FlakeKind.NETWORK, r"(?:Could not|Unable to|Failed to) connect to|Couldn't connect|CONNECTION FAILED"),
    (FlakeKind.NETWORK, r"Empty reply from server|transfer closed with|Recv failure|No data received|Read error "),
    (FlakeKind.NETWORK, r"connection closed before|hung up unexpectedly|unexpected disconnect|early EOF|RPC failed"),
    (FlakeKind.NETWORK, r"GnuTLS recv error|unexpected eof while reading|non-properly terminated"),
    (FlakeKind.NETWORK, _GAVE_UP),
    # the engine's own races (moby/buildkit#3959, docker/buildx#3486), and its end
    (FlakeKind.ENGINE, r"failed to get dead record"),
    (FlakeKind.ENGINE, r"inconsistent graph state"),
    (FlakeKind.ENGINE, r"failed to get state for index"),
    (FlakeKind.ENGINE, r"no such job"),
    (FlakeKind.ENGINE, r"frontend grpc server closed unexpectedly"),
    (FlakeKind.ENGINE, r"error reading from server: EOF"),
    (FlakeKind.ENGINE, r"rpc error: code = Unavailable"),
    (FlakeKind.NETWORK, r"unexpected EOF"),
    # what an engine says of a registry that hung up on it
    (FlakeKind.NETWORK, r'": EOF\b|write: broken pipe|http: server closed idle connection'),
)
"""What each says of the failure; the first that is found counts."""

_PERMANENT_RE: Final = re.compile("|".join(_PERMANENT))
_COULD_NOT_LOOK: Final = re.compile(f"{_GAVE_UP}|{_NOT_FETCHED}")

_HOST: Final = re.compile(
    r"""https?://(?:[^/\s'"`@]*@)?([A-Za-z0-9.-]+)"""
    r"""|\b(?:host=|resolving |resolve host: |lookup |connect to )['"]?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)"""
)
"""A host that was asked: never with what logs in to it."""

_HOST_LINES: Final = 3
"""How far above the line that says what is wrong a tool may have said whom it asked."""

_RETRY_AFTER: Final = re.compile(r"[Rr]etry[- ][Aa]fter['\"]?[:=]? *['\"]?(\d+(?:\.\d+)?)(µs|us|ms|s|m|h)?\b")
"""Seconds as in the header, or a duration as registries put it into the message."""

_SECONDS: Final = {"µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def flake(code: int, output: str) -> Flake | None:
    """Return why a build that ended with this exit code and these last lines is worth another try, if it is."""
    if _PERMANENT_RE.search(output) or (_MISSING.search(output) and not _COULD_NOT_LOOK.search(output)):
        return None
    for kind, pattern in _TRANSIENT:
        found = list(re.finditer(pattern, output))
        if found:
            source = "" if kind is FlakeKind.ENGINE else _source(output, found[-1].start())
            return Flake(kind=kind, source=source, retry_after=_retry_after(output))
    return Flake(kind=FlakeKind.ENGINE) if code == _INTERNAL_ERROR else None


def of_registry(error: UserError, repository: str) -> Flake | None:
    """Return why a failure of a repository, or of the engine in between, is transient; None if it is not."""
    if isinstance(error, SilentRegistryError):
        kind = FlakeKind.LIMIT if error.retry_after else FlakeKind.NETWORK
        return Flake(kind=kind, source=host(repository), retry_after=error.retry_after)
    if isinstance(error, DeniedError | DoubtError):
        return None
    found = flake(1, str(error))
    return replace(found, source=found.source or host(repository)) if found else None


def _source(output: str, position: int) -> str:
    """Return the host named nearest to a position: in its line, else in the few above."""
    end = output.find("\n", position)
    lines = output[: end if end >= 0 else None].splitlines()
    return next((host for line in reversed(lines[-1 - _HOST_LINES :]) for host in _hosts(line)), "")


def _hosts(line: str) -> Iterator[str]:
    return (found[1] or found[2] for found in _HOST.finditer(line))


def _retry_after(output: str) -> float:
    found = _RETRY_AFTER.findall(output)
    return max((float(number) * _SECONDS[unit or "s"] for number, unit in found), default=0.0)
