"""What changed in the leaves, as Markdown for a pull request."""

from collections.abc import Iterable, Sequence
from typing import Final

from imagematrix.planning.changes import Changes
from imagematrix.text.formatting import abbreviate, count

_ROWS_SHOWN: Final = 5


def summary_text(changes: Changes) -> str:
    """Write which rows are new, removed or changed, in which stages, and which packages moved."""
    numbers = [
        f"{len(rows)} {what}"
        for what, rows in (("new", changes.added), ("removed", changes.removed), ("changed", changes.changed))
        if rows
    ]
    if not numbers:
        return "No image changes.\n"
    total = len(changes.added) + len(changes.removed) + len(changes.changed)
    sections = [
        f"### {count(total, 'image')}: {', '.join(numbers)}",
        *_list("New", changes.added),
        *_list("Removed", changes.removed),
        *_table(("stage", "images"), ((f"`{layer}`", _rows(rows)) for layer, rows in changes.stages.items())),
        *_table(
            ("package", "from", "to", "images"),
            ((name, old or "-", new or "-", _rows(rows)) for (name, old, new), rows in changes.packages.items()),
        ),
        *_list("Only READMEs and run examples changed", changes.companions),
    ]
    return "\n\n".join(sections) + "\n"


def _list(what: str, rows: Sequence[str]) -> list[str]:
    return [f"{what}: {_rows(rows)}"] if rows else []


def _rows(rows: Sequence[str]) -> str:
    return abbreviate([f"`{row}`" for row in rows], _ROWS_SHOWN)


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> list[str]:
    body = [*lines]
    return ["\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *body))] if body else []
