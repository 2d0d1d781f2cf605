"""A layer copied from the package: what changed in the package since, what changed in the copy, and how both join."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from imagematrix.model import File

LayerFiles = Mapping[str, File]
"""Path in the layer's folder -> file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCopy:
    """A copied layer in three versions."""

    layer: str
    version: str
    """Of imagematrix, that it was copied from."""
    original: LayerFiles
    """As it was copied."""
    own: LayerFiles
    """As the monorepo has it now."""
    stock: LayerFiles
    """As the package has it now; empty: it has no such layer any more."""

    @property
    def changed_here(self) -> tuple[str, ...]:
        """The paths that the monorepo changed, sorted."""
        return _differing(self.original, self.own)

    @property
    def changed_upstream(self) -> tuple[str, ...]:
        """The paths that the package changed, sorted."""
        return _differing(self.original, self.stock)


class Join(StrEnum):
    """What becomes of a path that the package changed."""

    TAKE = "take"
    """The package's file takes its place."""
    DELETE = "delete"
    MERGE = "merge"
    """Both changed a text: git merges it."""
    KEEP = "keep"
    """Both changed it, and it cannot be merged: the monorepo's stays, and people decide."""


def joins(copy: LayerCopy) -> Mapping[str, Join]:
    """Return what becomes of the paths that the package changed; what both changed alike needs nothing."""
    return dict(_joins(copy))


def _joins(copy: LayerCopy) -> Iterator[tuple[str, Join]]:
    for path in copy.changed_upstream:
        original, own, stock = (files.get(path) for files in (copy.original, copy.own, copy.stock))
        if _same(own, stock):
            continue
        if _same(own, original):
            yield path, Join.TAKE if stock else Join.DELETE
        else:
            is_text = own and stock and _is_text(own) and _is_text(stock) and (not original or _is_text(original))
            yield path, Join.MERGE if is_text else Join.KEEP


def merged(copy: LayerCopy, path: str, content: bytes) -> File:
    """Return a merged file: it may be executed as the package has it, unless the monorepo changed that."""
    own, stock, original = copy.own[path], copy.stock[path], copy.original.get(path)
    is_changed_here = original is not None and original.executable != own.executable
    return File(path=path, content=content, executable=(own if is_changed_here else stock).executable)


def _differing(old: LayerFiles, new: LayerFiles) -> tuple[str, ...]:
    return tuple(sorted(path for path in {*old, *new} if not _same(old.get(path), new.get(path))))


def _same(one: File | None, other: File | None) -> bool:
    if one is None or other is None:
        return one is other
    sums = [file.stored.sha256 if file.stored else "" for file in (one, other)]
    return (one.content, one.executable, sums[0]) == (other.content, other.executable, sums[1])


def _is_text(file: File) -> bool:
    """Whether a file can be merged line by line: git takes the same for binary."""
    return file.stored is None and b"\0" not in file.content
