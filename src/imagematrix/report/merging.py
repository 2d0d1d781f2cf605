"""The reports of a pipeline's jobs as one run."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar

from imagematrix.model import Status
from imagematrix.report.document import Document, FailedNode, LeafEntry, NodeEntry

_Entry = TypeVar("_Entry", NodeEntry, LeafEntry)

_TELLS_MOST: Final = (Status.FAILED, Status.BUILT, Status.REUSED, Status.SKIPPED)
"""Of a node that several jobs report, the entry of the job in which the most became of it counts."""


def merge(documents: Iterable[Document]) -> Document:
    """Return the run that these runs are parts of, at least one.

    Its worker slots are those of all jobs, one job after another. A row whose own job never ran because another one's
    node failed is in it as failed.
    """
    parts = sorted(documents, key=lambda part: part.started)
    nodes = _most_telling(_shifted(parts), lambda node: node.key)  # parents first: each part has them in that order
    leaves = _most_telling((leaf for part in parts for leaf in part.leaves), lambda leaf: leaf.name)
    return replace(
        parts[0],
        seconds=max((part.started - parts[0].started).total_seconds() + part.seconds for part in parts),
        nodes=nodes,
        leaves=(*leaves, *_blocked(nodes, {leaf.name for leaf in leaves})),
        locks={path: packages for part in parts for path, packages in part.locks.items()},
        pushes=tuple({push.name: push for part in parts for push in part.pushes}.values()),
        facts={name: day for part in parts for name, day in part.facts.items()},
    )


def _shifted(parts: Sequence[Document]) -> Iterator[NodeEntry]:
    """Yield the nodes of all parts with times and worker slots of the whole."""
    slots = 0
    for part in parts:
        late = (part.started - parts[0].started) / timedelta(seconds=1)
        for node in part.nodes:
            started = None if node.started is None else node.started + late
            yield replace(node, started=started, lane=None if node.lane is None else node.lane + slots)
        slots += 1 + max((node.lane for node in part.nodes if node.lane is not None), default=-1)


def _most_telling(entries: Iterable[_Entry], name: Callable[[_Entry], str]) -> tuple[_Entry, ...]:
    """Return one entry for each name, in the order in which the names come first."""
    found: dict[str, _Entry] = {}
    for entry in entries:
        known = found.get(name(entry))
        if known is None or _rank(entry.outcome) < _rank(known.outcome):
            found[name(entry)] = entry
    return tuple(found.values())


def _rank(outcome: Status | None) -> int:
    return _TELLS_MOST.index(outcome) if outcome in _TELLS_MOST else len(_TELLS_MOST)


def _blocked(nodes: Iterable[NodeEntry], known: Collection[str]) -> Iterator[LeafEntry]:
    failed = {row: node for node in nodes if node.outcome is Status.FAILED for row in node.leaves if row not in known}
    for row, node in sorted(failed.items()):
        family, _, tag = row.partition(":")
        yield LeafEntry(
            name=row,
            family=family,
            tag=tag,
            image=row,
            outcome=Status.FAILED,
            blame=FailedNode(node=node.key, label=node.label),
            why=node.why,
        )
