"""The gc command: what builds left behind here, on the machines of a cluster and in the registry of nodes."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from imagematrix import cleanup
from imagematrix.engine import Engine
from imagematrix.model import Key, Row
from imagematrix.planning import garbage, sizes
from imagematrix.planning.garbage import CleanupResult, EngineCleanup, GarbageKind, Needs, StoredNode
from imagematrix.planning.graph import Dag
from imagematrix.planning.trust import named
from imagematrix.project import Project, Selection
from imagematrix.registry import Manifest, settlements, signatures
from imagematrix.registry.store import Store, node_name
from imagematrix.verify.runner import LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class GcOptions:
    """How to clean up."""

    nights: int = 7
    """Of how many nights, the last ones, nothing is removed."""
    dry: bool = False
    everyones: bool = False
    """Also nodes that no record of this project knows of: of its other checkouts, and of other projects."""


Clean = Callable[[EngineCleanup], Mapping[str, CleanupResult]]
"""Cleans up the engines of a cluster's machines; returns what came of it, by machine."""


def run(
    project: Project,
    options: GcOptions,
    *,
    engine: Engine | None,
    machines: Clean | None = None,
    store: Store | None = None,
    waiting: Callable[[], None],
) -> Mapping[str, CleanupResult]:
    """Remove what neither the matrix nor the last nights need; return what came of it, here ("") and on machines.

    `waiting` is called when a build holds the project. Without an engine, this checkout alone is cleaned up here. With
    a store that is too; then raises RegistryError.
    """
    rows = project.possible(project.rows(Selection()))
    # A dry run removes nothing that a build could miss.
    with nullcontext() if options.dry else project.state.sole_builder(waiting=waiting):
        dag = project.dag(project.leaves(rows))
        wanted = engine_cleanup(project, options, rows, dag)
        stored = _stored(store) if store else {}
        found = garbage.joined(
            garbage.logs(project.state.logs(), wanted.needs.keys),
            garbage.tags(
                stored,
                name=lambda key: node_name(project.matrix.nodes, key),
                needs=wanted.needs,
                mine=lambda key: wanted.known is None or key in wanted.known,
            ),
        )
        results = dict(machines(wanted)) if machines else {}
        freed = garbage.total(found.garbage) if options.dry else 0
        if engine:
            cleaned = cleanup.clean(engine, wanted)
            found, freed = garbage.joined(cleaned.found, found), freed + cleaned.freed
        results[""] = CleanupResult(found=found, freed=freed, dry=options.dry)
        if options.dry:
            return results
        project.state.remove_logs([ref for thing in found.of(GarbageKind.LOG) for ref in thing.refs])
        if store:
            for thing in found.of(GarbageKind.TAG):
                _delete(store, *thing.refs[1:])
        if store or not project.matrix.nodes:  # only the record knows what a registry still has
            kept = stored.keys() - {thing.refs[0] for thing in found.of(GarbageKind.TAG)}
            there = wanted.needs.keys | (named(engine.images()).keys() if engine else set()) | kept
            project.state.forget(lambda key: key in there)
        return results


def engine_cleanup(project: Project, options: GcOptions, rows: Sequence[Row], dag: Dag) -> EngineCleanup:
    """Return what a project wants to be removed from engines."""
    runs, history = project.state.runs(), project.state.history()
    recent = [runs[name] for name in garbage.nights(runs, options.nights, now=time.time())]
    built_for: dict[Key, frozenset[str]] = {}
    for record in history:
        built_for[record.key] = built_for.get(record.key, frozenset()).union(record.rows)
    return EngineCleanup(
        needs=Needs(
            keys=frozenset(dag.nodes) | garbage.keys(recent),
            images=frozenset(row.image for row in rows),
            repositories=_repositories(rows) | garbage.repositories(runs.values()),
            node_repositories={project.matrix.nodes} | garbage.node_repositories(runs.values()),
            nights=options.nights,
        ),
        known=None if options.everyones else frozenset(built_for) | garbage.keys(runs.values()),
        rows=built_for,
        recorded=frozenset(record.inputs.get("text", "") for record in history),
        stages={key: node.stage.recipe for key, node in dag.nodes.items()},
        resumable=frozenset(key for key, node in dag.nodes.items() if not node.stage.tool),
        installed=_installed(project, dag),
        checks=LABEL,
        dry=options.dry,
    )


def _repositories(rows: Iterable[Row]) -> frozenset[str]:
    """Return where the matrix names images."""
    return frozenset({garbage.repository(row.image) for row in rows}.union(*(row.repositories for row in rows)))


def _stored(store: Store) -> Mapping[Key, StoredNode]:
    """Return all nodes that a registry keeps."""
    tags = frozenset(store.client.tags(store.repository))
    manifests = store.client.manifests(store.repository, garbage.stored_keys(tags))

    def stored(one: Manifest) -> StoredNode:
        beside = (signatures.tag(one.digest), settlements.tag(one.digest))
        return StoredNode(digest=one.digest, blobs=one.blobs, attached=tuple(tag for tag in beside if tag in tags))

    return {Key(key): stored(one) for key, one in manifests.items()}


def _delete(store: Store, digest: str, *signed: str) -> None:
    """Remove a node from the registry; what lies beside it first, so that none is left of what is gone."""
    for tag in signed:
        if held := store.client.digest(store.repository, tag):
            store.client.delete(store.repository, held)
    store.client.delete(store.repository, digest)


def _installed(project: Project, dag: Dag) -> int:
    """Return how many bytes the locks of all nodes install."""
    texts = {locked.text for row in dag.rows.values() for locked in project.locked(row)}
    return sizes.total(map(sizes.of_lock, texts)).installed
