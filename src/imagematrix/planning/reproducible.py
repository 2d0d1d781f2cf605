"""Two contents of a folder in, the first difference between them out: whether an installation is reproducible."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a filesystem layer holds of one path."""

    kind: str
    mode: str
    """In octal digits."""
    owner: str
    """User and group, as numbers."""
    time: int
    """Seconds since 1970."""
    target: str
    """Of a link: where it leads."""
    content: str
    """The hash of a file's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first path, in alphabetical order, that two installations differ in."""

    path: str
    what: str
    """What differs of it: a field of its fingerprint; or `presence`."""
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two installations of a node came to."""

    node: str
    """Its name for a reader."""
    paths: int
    """How many paths the first one has."""
    difference: Difference | None


def difference(first: Mapping[str, Fingerprint], second: Mapping[str, Fingerprint]) -> Difference | None:
    """Return what two installations differ in first; None: they are the same."""
    path = min((path for path in {**first, **second} if first.get(path) != second.get(path)), default=None)
    if path is None:
        return None
    one, other = first.get(path), second.get(path)
    if one is None or other is None:
        there, missing = "there", "missing"
        return Difference(
            path=path, what="presence", first=there if one else missing, second=there if other else missing
        )
    what = next(field.name for field in fields(Fingerprint) if getattr(one, field.name) != getattr(other, field.name))
    return Difference(path=path, what=what, first=str(getattr(one, what)), second=str(getattr(other, what)))
