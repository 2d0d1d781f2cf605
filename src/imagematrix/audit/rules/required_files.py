"""It has the files that the destination's own tools need."""

from collections.abc import Iterator
from typing import Annotated

from imagematrix.audit import Entry, Evidence, Globs, matches, stacked


def kept(entry: Entry, *, paths: Globs) -> bool | None:
    return matches(entry.path, paths) or None


def offences(
    evidence: Evidence, *, paths: Annotated[Globs, "Globs of absolute paths: of each it has one such file at least."]
) -> Iterator[str]:
    there = stacked({}, [*evidence.base, *evidence.own])
    yield from (f"{glob} is missing" for glob in paths if not any(matches(path, (glob,)) for path in there))
