"""What `layers` prints: each layer, where it comes from, and which rows use it."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagematrix.model import File
from imagematrix.planning.copies import LayerCopy, LayerFiles, joins
from imagematrix.project import Project
from imagematrix.text.formatting import abbreviate

_ROWS_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEntry:
    """A layer of the list."""

    name: str
    origin: str
    """`own`, `stock`, `copied from VERSION` (marked if imagematrix has changed it since), or its whole Dockerfile."""
    checks: bool
    rows: tuple[str, ...]


def entries(project: Project) -> tuple[LayerEntry, ...]:
    """Return all layers, sorted by name."""
    common, checks = project.repository.common, project.repository.common.checks()
    changed = common.copies.changed_upstream()
    rows: dict[str, list[str]] = {}
    for row in project.matrix.rows:
        for layer in row.family.layers:
            rows.setdefault(layer, []).append(row.name)

    dockerfiles = project.matrix.dockerfiles

    def origin(name: str) -> str:
        if name in dockerfiles:
            return dockerfiles[name].file
        copied, newer = common.copies.version(name), "; changed since" if name in changed else ""
        return f"copied from {copied}{newer}" if copied else "own" if common.is_own(name) else "stock"

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


def difference(copy: LayerCopy) -> str:
    """Write how a copied layer differs from its original: first in the package, then in the monorepo."""
    folder = f"common/layers/{copy.layer}"
    return "".join(
        [
            f"# {folder} was copied from imagematrix {copy.version}\n",
            *_side("imagematrix has changed", copy.original, copy.stock, copy.changed_upstream, folder),
            *_side("you have changed", copy.original, copy.own, copy.changed_here, folder),
            *([f"# `invoke layers --merge {copy.layer}` brings in what imagematrix has changed\n"] * bool(joins(copy))),
        ]
    )


def _side(what: str, old: LayerFiles, new: LayerFiles, paths: Sequence[str], folder: str) -> Iterator[str]:
    yield f"\n# {what}: {', '.join(paths) or 'nothing'}\n"
    for path in paths:
        yield from _file(old.get(path), new.get(path), f"{folder}/{path}")


def _file(old: File | None, new: File | None, path: str) -> Iterator[str]:
    """Yield the lines of a unified diff; of what is not text only that it differs."""
    try:
        before, after = (each.content.decode().splitlines(keepends=True) if each else [] for each in (old, new))
    except UnicodeDecodeError:
        yield f"Binary files a/{path} and b/{path} differ\n"
        return
    names = (f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null")
    for line in difflib.unified_diff(before, after, *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
    if old and new and old.executable != new.executable:
        yield f"mode of {path}: {'may be executed' if new.executable else 'may not be executed'}\n"


def _users(entry: LayerEntry) -> str:
    unchecked = "" if entry.checks else "no checks; "
    return unchecked + (abbreviate(entry.rows, _ROWS_SHOWN) if entry.rows else "not used")
