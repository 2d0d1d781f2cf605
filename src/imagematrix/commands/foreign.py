"""Rows for a Docker platform that this machine's engine does not run."""

from collections.abc import Iterable

from imagematrix.engine import Engine
from imagematrix.errors import NoMachineError
from imagematrix.model import Row, Site
from imagematrix.text import platforms

_SHOWN = 3


def refuse(rows: Iterable[Row], engine: Engine, where: Site) -> None:
    """Raise NoMachineError for rows whose programs an engine does not run, by emulation neither."""
    wanted = {row.name: platforms.without_variant(row.platform) for row in rows}
    if not wanted:
        return
    native = engine.facts().platform
    foreign = {
        name: platform for name, platform in wanted.items() if platform not in platforms.run_by(native, where.emulates)
    }
    if foreign:
        lacking = sorted(set(foreign.values()))
        names = sorted(foreign)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        quoted = ", ".join(f'"{platform}"' for platform in lacking)
        shown = ", ".join(names[:_SHOWN]) + more
        raise NoMachineError(
            f"the engine runs {native}, and these rows are for {', '.join(lacking)}: {shown}\n"
            f"    let a machine of that platform do it: --workers, or a run there; select --platform {native} here\n"
            f"    or emulate it: install qemu-user-static on the engine's machine, and set [site] emulates = [{quoted}]"
        )
