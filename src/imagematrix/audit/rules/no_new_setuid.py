"""No new file runs as root or with root's group, no matter who starts it."""

from collections.abc import Iterator
from typing import Final

from imagematrix.audit import Entry, Evidence, Kind

_SETUID: Final = 0o6000


def kept(entry: Entry) -> int | None:
    return entry.mode if entry.kind is Kind.FILE and entry.mode & _SETUID and entry.uid == 0 else None


def offences(evidence: Evidence) -> Iterator[str]:
    known = {file for layer in evidence.base for file in layer.kept.items()}
    new = {file for layer in evidence.own for file in layer.kept.items()} - known
    yield from (f"/{path} mode {mode:o}" for path, mode in sorted(new))
