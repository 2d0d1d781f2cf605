"""Copies a layer of the package, and brings what the package changed since into the copy."""

from collections.abc import Callable, Mapping
from typing import Final

from imagematrix import __version__, git
from imagematrix.errors import ConflictError
from imagematrix.model import File
from imagematrix.planning import copies
from imagematrix.planning.copies import Join, LayerCopy
from imagematrix.repository import Repository

_DONE: Final[Mapping[Join, str]] = {
    Join.TAKE: "updated",
    Join.DELETE: "deleted",
    Join.MERGE: "merged",
    Join.KEEP: "conflict: both changed it; yours stays, and .original/ has that of imagematrix, if there is one",
}
_MARKED: Final = "conflict: both changed the same lines, which are marked"


def copy(repository: Repository, layer: str, *, say: Callable[[str], None]) -> None:
    """Copy a layer of the package. Raises FlagError where that is impossible."""
    for path in repository.common.copies.make(layer):
        say(repository.from_here(path))


def merge(repository: Repository, layer: str, *, say: Callable[[str], None]) -> None:
    """Bring what the package changed into a copied layer.

    Raises FlagError where the layer is not a copy, and ConflictError, once all is written, where people must decide.
    """
    found = repository.common.copies.read(layer, flag="--merge")
    if not found.changed_upstream:
        say(f"{layer}: imagematrix has not changed it since {found.version}")
        return
    joins = copies.joins(found)
    merges = {path: _merged(found, path) for path, join in joins.items() if join is Join.MERGE}
    taken = [found.stock[path] for path, join in joins.items() if join is Join.TAKE]
    obsolete = [path for path, join in joins.items() if join is Join.DELETE]
    repository.common.copies.replace(found, [*taken, *(file for file, _ in merges.values())], obsolete=obsolete)
    marked = {path for path, (_, is_clean) in merges.items() if not is_clean}
    for path, join in joins.items():
        say(f"{repository.from_here(f'common/layers/{layer}/{path}')}: {_MARKED if path in marked else _DONE[join]}")
    conflicts = [path for path, join in joins.items() if path in marked or join is Join.KEEP]
    if conflicts:
        raise ConflictError(f"{layer}: {', '.join(conflicts)}: edit, then `invoke check`")
    say(f"{layer}: has all that imagematrix changed; `invoke plan` shows what it costs")


def _merged(found: LayerCopy, path: str) -> tuple[File, bool]:
    """Merge a text that both changed; return it, and whether no lines are in conflict."""
    original = found.original[path].content if path in found.original else b""
    texts = {
        "yours": found.own[path].content,
        f"imagematrix {found.version}": original,
        f"imagematrix {__version__}": found.stock[path].content,
    }
    content, is_clean = git.merged(texts)
    return copies.merged(found, path, content), is_clean
