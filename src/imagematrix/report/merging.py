"""The reports of a pipeline's jobs as one run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from imagematrix.model import Key, Status
from imagematrix.report.document import Document, FailedNode, LeafEntry, NodeEntry

_TELLS_MOST: Final = (Status.FAILED, Status.BUILT, Status.REUSED, Status.SKIPPED)
"""Of a node that several jobs report, the entry of the job in which the most became of it counts."""


def merge(documents: Iterable[Document]) -> Document:
    """Return the run that these runs are parts of, at least one.

    Its worker slots are those of all jobs, one job after another. A row whose own job never ran because another one's
    node failed is in it as failed.
    """
    parts = sorted(documents, key=lambda part: part.started)
    nodes = _nodes(parts)
    leaves = _first(leaf for part in parts for leaf in part.leaves)
    return replace(
        parts[0],
        seconds=max((part.started - parts[0].started).total_seconds() + part.seconds for part in parts),
        nodes=tuple(nodes.values()),
        leaves=(*leaves.values(), *_blocked(nodes.values(), leaves)),
        locks={path: packages for part in parts for path, packages in part.locks.items()},
        pushes=tuple({push.name: push for part in parts for push in part.pushes}.values()),
        facts={name: day for part in parts for name, day in part.facts.items()},
    )


def _nodes(parts: Sequence[Document]) -> Mapping[Key, NodeEntry]:
    """Return the nodes of all parts, parents first: each part has them in that order."""
    nodes: dict[Key, NodeEntry] = {}
    for node in _shifted(parts):
        known = nodes.get(node.key)
        if known is None or _rank(node.outcome) < _rank(known.outcome):
            nodes[node.key] = node
    return nodes


def _shifted(parts: Sequence[Document]) -> Iterator[NodeEntry]:
    """Yield the nodes of all parts with times and worker slots of the whole."""
    slots = 0
    for part in parts:
        late = (part.started - parts[0].started) / timedelta(seconds=1)
        for node in part.nodes:
            started = None if node.started is None else node.started + late
            yield replace(node, started=started, lane=None if node.lane is None else node.lane + slots)
        slots += 1 + max((node.lane for node in part.nodes if node.lane is not None), default=-1)


def _first(leaves: Iterable[LeafEntry]) -> Mapping[str, LeafEntry]:
    found: dict[str, LeafEntry] = {}
    for leaf in leaves:
        known = found.get(leaf.name)
        if known is None or _rank(leaf.outcome) < _rank(known.outcome):
            found[leaf.name] = leaf
    return found


def _rank(outcome: Status | None) -> int:
    return _TELLS_MOST.index(outcome) if outcome in _TELLS_MOST else len(_TELLS_MOST)


def _blocked(nodes: Iterable[NodeEntry], known: Mapping[str, LeafEntry]) -> Iterator[LeafEntry]:
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
