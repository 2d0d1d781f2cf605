"""Rows for a Docker platform that this machine's engine does not run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from imagematrix.engine import Engine
from imagematrix.errors import NoMachineError
from imagematrix.model import Row, Site
from imagematrix.text import platforms
from imagematrix.text.formatting import abbreviate

_NAMES_SHOWN: Final = 3


def lacking(rows: Iterable[Row], native: str, where: Site) -> Mapping[str, Sequence[str]]:
    """Return the platforms, each with its rows, that an engine of one platform does not run, by emulation neither."""
    run = platforms.run_by(native, where.emulates)
    found: dict[str, set[str]] = {}
    for row in rows:
        platform = platforms.without_variant(row.platform)
        if platform not in run:
            found.setdefault(platform, set()).add(row.name)  # nodes that are built share rows
    return {platform: sorted(found[platform]) for platform in sorted(found)}


def remedy(lacking: Iterable[str]) -> str:
    """Return what lets an engine emulate platforms."""
    quoted = ", ".join(f'"{platform}"' for platform in lacking)
    return f"install qemu-user-static on the engine's machine, and set [site] emulates = [{quoted}]"


def refuse(rows: Sequence[Row], engine: Engine, where: Site) -> None:
    """Raise NoMachineError for rows whose programs an engine does not run."""
    if not rows:
        return
    native = engine.facts().platform
    if found := lacking(rows, native, where):
        names = abbreviate([name for names in found.values() for name in names], _NAMES_SHOWN)
        raise NoMachineError(
            f"the engine runs {native}, and these rows are for {', '.join(found)}: {names}\n"
            f"    let a machine of that platform do it: --workers, or a run there; select --platform {native} here\n"
            f"    or emulate it: {remedy(found)}"
        )
