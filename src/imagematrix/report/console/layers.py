"""What `layers` prints: each layer, where it comes from, and which rows use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from imagematrix.project import Project
from imagematrix.text.formatting import abbreviate

_ROWS_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """A layer of the list."""

    name: str
    origin: str
    """`own`, `stock`, `copied from VERSION`, or the whole Dockerfile that it is."""
    checks: bool
    rows: tuple[str, ...]


def entries(project: Project) -> tuple[LayerEntry, ...]:
    """Return all layers, sorted by name."""
    common, checks = project.repository.common, project.repository.common.checks()
    rows: dict[str, list[str]] = {}
    for row in project.matrix.rows:
        for layer in row.family.layers:
            rows.setdefault(layer, []).append(row.name)

    dockerfiles = project.matrix.dockerfiles

    def origin(name: str) -> str:
        if name in dockerfiles:
            return dockerfiles[name].file
        copied = common.copied_from(name)
        return f"copied from {copied}" if copied else "own" if common.is_own(name) else "stock"

    return tuple(
        LayerEntry(name=name, origin=origin(name), checks=name in checks, rows=tuple(sorted(rows.get(name, ()))))
        for name, whole in sorted({**common.layers(), **dict.fromkeys(dockerfiles, True)}.items())
        if whole
    )


def layers_text(found: Sequence[LayerEntry]) -> str:
    """Write the list for a reader."""
    names, origins = max(len(each.name) for each in found), max(len(each.origin) for each in found)
    lines = [f"{each.name:<{names}}  {each.origin:<{origins}}  {_users(each)}".rstrip() for each in found]
    return "\n".join([*lines, "stock layers come with imagematrix; `invoke layers --copy NAME` takes one over"])


def _users(entry: LayerEntry) -> str:
    unchecked = "" if entry.checks else "no checks; "
    return unchecked + (abbreviate(entry.rows, _ROWS_SHOWN) if entry.rows else "not used")
