"""What a clean-up removed, or would remove, as a person reads it: each thing with its size and the reason."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Final

from imagematrix.planning.garbage import CleanupResult, GarbageKind, Thing, total
from imagematrix.text.formatting import count, size

_NOUNS: Final[Mapping[GarbageKind, str]] = {
    GarbageKind.CONTAINER: "container",
    GarbageKind.IMAGE: "image",
    GarbageKind.CACHE: "piece of build cache",
    GarbageKind.TAG: "tag in the registry",
    GarbageKind.LOG: "log",
}


def cleanups_text(results: Mapping[str, CleanupResult]) -> str:
    """Say of each machine what is removed there; that without a name is this one."""
    if len(results) == 1:
        return cleanup_text(*results.values())
    return "\n\n".join(f"{name or 'here'}:\n{cleanup_text(results[name])}" for name in sorted(results))


def cleanup_text(swept: CleanupResult) -> str:
    """List what is removed with each name of an image, what is kept though not needed, and how much that frees."""
    garbage, kept = swept.found.garbage, swept.found.kept
    blocks = [_table(garbage)] if garbage else []
    if kept:
        blocks.append("not needed, but kept:\n" + _table(kept))
    return "\n".join([*blocks, _last_line(swept)])


def _table(things: Sequence[Thing]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    table.add_column(no_wrap=True, justify="right")
    for _ in range(3):
        table.add_column(no_wrap=True)
    for thing in things:
        table.add_row(*map(Text, (size(thing.bytes), thing.kind.value, thing.name, thing.reason)))
        for name in thing.refs if thing.kind is GarbageKind.IMAGE else ():
            table.add_row("", "", Text(f"  {name}"), "")
    drawn = StringIO()
    # As wide as it takes: a name that is cut or wrapped cannot be copied.
    Console(file=drawn, width=1000, color_system=None).print(table)
    return "".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def _last_line(swept: CleanupResult) -> str:
    kinds = [thing.kind for thing in swept.found.garbage]
    if not kinds:
        return "nothing to remove"
    counted = ", ".join(_counted(kind, kinds.count(kind)) for kind in GarbageKind if kind in kinds)
    if swept.dry:
        return f"would remove {counted}: about {size(swept.freed)}"
    # A registry frees nothing at once: its own garbage collection does.
    there = total(swept.found.of(GarbageKind.TAG))
    remote = f", {size(there)} for the registry to collect" if there else ""
    return f"removed {counted}: {size(swept.freed)} freed on the engine's disk{remote}"


def _counted(kind: GarbageKind, number: int) -> str:
    noun, _, rest = _NOUNS[kind].partition(" ")
    return f"{count(number, noun)} {rest}".strip()
