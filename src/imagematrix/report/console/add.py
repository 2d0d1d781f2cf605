"""A row that was added, or would be: its place and its cost, for a reader."""

from collections.abc import Sequence
from typing import Final

from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.planning.cost import Cost, NodeCost
from imagematrix.text.formatting import abbreviate, count, size

_ROWS_SHOWN: Final = 2
_NUMBER: Final = 4
_WORDS: Final = {Severity.UNKNOWN: "warning", Severity.NOTE: "note"}


def added_text(cost: Cost) -> str:
    """Write the row, its lines of the matrix, its notes, its nodes and what to do next."""
    row = cost.addition.row
    verb = "would be added to" if cost.dry else "added to"
    return "\n".join(
        [
            f"{row.name}: {verb} {cost.file}",
            *(f"    {number:>{_NUMBER}} {line}" for number, line in cost.addition.lines),
            *_proposed(cost),
            *_remarks(cost),
            *_nodes(cost.nodes),
            *_size(cost),
            *_unknown(cost),
            _next(cost),
        ]
    )


def _proposed(cost: Cost) -> list[str]:
    """Name the facts that were not given: they are among the lines above."""
    facts = cost.addition.proposed
    if not facts:
        return []
    without = " ".join(f"{name}=" for name in facts)
    proposed = ", ".join(f"{name} {value}" for name, value in facts.items())
    return [f"proposed by the catalogue: {proposed} (to leave out: {without})"]


def _remarks(cost: Cost) -> list[str]:
    remarks = [f"{_word(finding)}: {finding}" for finding in cost.addition.findings]
    return remarks + [f"warning: {missing}" for missing in cost.addition.missing]


def _word(finding: Diagnostic) -> str:
    return _WORDS.get(finding.severity, str(finding.severity))


def _nodes(nodes: Sequence[NodeCost]) -> list[str]:
    width = max(len(node.layer) for node in nodes)
    building = sum(node.build for node in nodes)
    return [
        f"{count(len(nodes), 'node')}: {sum(bool(node.shared) for node in nodes)} shared, {building} to build",
        *(f"    {node.layer:<{width}}  {'build' if node.build else 'reuse'}  {_sharing(node)}" for node in nodes),
    ]


def _sharing(node: NodeCost) -> str:
    return f"shared with {abbreviate(node.shared, _ROWS_SHOWN)}" if node.shared else "only for this row"


def _size(cost: Cost) -> list[str]:
    download, image = cost.download, cost.image
    if not image.download and not image.unknown:
        return []
    unknown = f"; {count(image.unknown, 'file')} of unknown size not counted" if image.unknown else ""
    return [
        f"Python packages: {size(download.download)} to download, about {size(image.installed)} in the image{unknown}"
    ]


def _unknown(cost: Cost) -> list[str]:
    lines = []
    if not cost.has_engine:
        lines.append("which nodes exist is unknown: no Docker Engine answers")
    if cost.unread:
        lines.append(f"not compared, because they cannot be rendered: {abbreviate(cost.unread, _ROWS_SHOWN)}")
    return lines


def _next(cost: Cost) -> str:
    locks = f"{count(cost.locks, 'lock')} and " if cost.locks else ""
    also = locks + ", ".join(f"{row.directory}/" for row in cost.addition.rows)
    if cost.dry:
        return f"nothing was written (--dry-run); also to be written: {also}"
    written = f"also written: {also}; commit all together"
    return f"{written}\nnext: invoke build " + " ".join(f"--only '{row.name}'" for row in cost.addition.rows)
