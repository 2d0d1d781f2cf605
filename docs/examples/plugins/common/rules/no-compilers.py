"""A rule of a destination: no file of the image is one of these programs."""

from collections.abc import Iterator
from typing import Annotated

from imagematrix.audit import Entry, Evidence, Globs, matches, stacked


def kept(entry: Entry, *, paths: Globs) -> bool | None:
    """Keep the files that the rule is about."""
    return True if matches(entry.path, paths) else None


def offences(evidence: Evidence, *, paths: Annotated[Globs, "the compilers"]) -> Iterator[str]:  # noqa: ARG001
    """Return a line for each of them that is still there in the end; `paths` is read by `kept`."""
    yield from (f"/{path} is a compiler" for path in sorted(stacked({}, [*evidence.base, *evidence.own])))
