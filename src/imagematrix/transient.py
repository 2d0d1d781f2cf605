"""Tells failures that may pass by themselves from real ones. Data first: one pattern a line, each seen in the wild.

A missing package, a wrong hash or a compiler error is never transient, whatever else the output says: unless
the one who says it could not look.
"""

import re
from typing import Final

_INTERNAL_ERROR: Final = 100
"""buildx's exit code for an error of the engine's own (buildx 0.25, cmd/buildx/main.go)."""

_GAVE_UP: Final = r"Retrying \(Retry\(total=0,"
"""After its last retry pip goes on with an empty index: what it then says of missing packages is not true."""

_PERMANENT: Final = (
    r"No solution found when resolving",
    r"No matching distribution found",
    r"Unable to locate package",
    r"Hash mismatch|hash mismatch|do not match the hashes",
    r"404 +Not Found",
    r"[Nn]o space left on device",
    r"dockerfile parse error",
)

_TRANSIENT: Final = (
    # the engine's own races (moby/buildkit#3959, docker/buildx#3486)
    r"failed to get dead record",
    r"inconsistent graph state",
    r"failed to get state for index",
    r"no such job",
    r"frontend grpc server closed unexpectedly",
    r"error reading from server: EOF",
    r"unexpected EOF",
    r"rpc error: code = Unavailable",
    r"Cannot connect to the Docker daemon",
    # names, connections, servers, as apt, curl, uv, pip and the engine put it
    r"Temporary failure in name resolution|Temporary failure resolving|Could not resolve|server misbehaving",
    r"[Cc]onnection (?:reset|refused|timed out|aborted|broken)|Connection failed",
    r"[Rr]ead timed out|[Oo]peration timed out|TLS handshake timeout|i/o timeout|request timed out",
    r"Hash Sum mismatch|Mirror sync in progress",
    r"error sending request|error decoding response body|IncompleteRead",
    r"429 +Too Many Requests|toomanyrequests|HTTP status client error \(429",
    r"(?:HTTP[^\n]{0,40}|error:? |status code )50[0234]\b",
    r"50[0234] +(?:Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)",
)

_PERMANENT_RE: Final = re.compile("|".join(_PERMANENT))
_TRANSIENT_RE: Final = re.compile("|".join(_TRANSIENT))


def is_transient(code: int, output: str) -> bool:
    """Return whether a build that ended with this exit code and these last lines is worth another try."""
    if re.search(_GAVE_UP, output):
        return True
    if _PERMANENT_RE.search(output):
        return False
    return code == _INTERNAL_ERROR or bool(_TRANSIENT_RE.search(output))
