"""The gc command: looks at what builds left behind, lets `garbage` decide, and removes it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from imagematrix.engine import Engine
from imagematrix.model import EngineImage, Key, Row, node_ref
from imagematrix.planning import garbage, sizes
from imagematrix.planning.garbage import CleanupPlan, CleanupResult, EngineNode, GarbageKind, Needs, StoredNode, Thing
from imagematrix.planning.graph import Dag
from imagematrix.planning.plan import Record
from imagematrix.planning.trust import named
from imagematrix.project import Project, Selection
from imagematrix.registry import Manifest, settlements, signatures
from imagematrix.registry.store import Store, node_name
from imagematrix.state import State
from imagematrix.verify.runner import LABEL

_DAY_SECONDS: Final = 86400.0
_STOPPED_SECONDS: Final = 600.0
"""Twice as long as a check may take: none waits for a container that stopped before that."""
_RUNNING_SECONDS: Final = 6 * 3600.0
"""The checks of an image have finished by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcOptions:
    """How to clean up."""

    nights: int = 7
    """Of how many nights, the last ones, nothing is removed."""
    dry: bool = False
    everyones: bool = False
    """Also nodes that no record of this project knows of: of its other checkouts, and of other projects."""


def run(
    project: Project,
    options: GcOptions,
    *,
    engine: Engine | None,
    store: Store | None = None,
    waiting: Callable[[], None],
) -> CleanupResult:
    """Remove what neither the matrix nor the last nights need; `waiting` is called when a build holds the project.

    Without an engine, this checkout alone is cleaned up. With a store that is too; then raises RegistryError.
    """
    rows = project.possible(project.rows(Selection()))
    # A dry run removes nothing that a build could miss.
    with nullcontext() if options.dry else project.state.sole_builder(waiting=waiting):
        dag = project.dag(project.leaves(rows))
        runs = project.state.runs()
        recent = [runs[name] for name in garbage.nights(runs, options.nights, now=time.time())]
        needs = Needs(
            keys=frozenset(dag.nodes) | garbage.keys(recent),
            images={row.image for row in rows},
            repositories=_repositories(rows) | garbage.repositories(runs.values()),
            node_repositories={project.matrix.nodes} | garbage.node_repositories(runs.values()),
            nights=options.nights,
        )
        history = project.state.history()
        known = {record.key for record in history} | garbage.keys(runs.values())

        def mine(key: Key) -> bool:
            return options.everyones or key in known

        stored = _stored(store) if store else {}
        found = garbage.joined(
            _look(project, engine, needs, history, mine),
            garbage.tags(stored, name=lambda key: node_name(project.matrix.nodes, key), needs=needs, mine=mine),
        )
        if options.dry:
            found = garbage.joined(found, _cache(project, options, engine, dag, history) if engine else CleanupPlan())
            return CleanupResult(found=found, freed=garbage.total(found.garbage), dry=True)
        before = engine.disk_bytes() if engine else 0
        _remove(project.state, engine, found.garbage)
        if engine:
            # After the images: what only the build cache holds by then is found, also what a killed run left.
            cache = _cache(project, options, engine, dag, history)
            engine.prune_cache([ref for thing in cache.garbage for ref in thing.refs])
            found = garbage.joined(found, cache)
        freed = max(0, before - engine.disk_bytes()) if engine else 0
        if store:
            for thing in found.of(GarbageKind.TAG):
                _delete(store, *thing.refs[1:])
        if store or not project.matrix.nodes:  # only the record knows what a registry still has
            kept = stored.keys() - {thing.refs[0] for thing in found.of(GarbageKind.TAG)}
            there = needs.keys | (named(engine.images()).keys() if engine else set()) | kept
            project.state.forget(lambda key: key in there)
        return CleanupResult(found=found, freed=freed, dry=False)


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


def _look(
    project: Project, engine: Engine | None, needs: Needs, history: Sequence[Record], mine: Callable[[Key], bool]
) -> CleanupPlan:
    """Find what is removed from this machine, but for build cache."""
    logs = garbage.logs(project.state.logs(), needs.keys)
    if engine is None:
        return logs
    now = time.time()
    left = garbage.containers(
        engine.check_containers(LABEL), stopped=now - _STOPPED_SECONDS, begun=now - _RUNNING_SECONDS
    )
    gone = {ref for thing in left.garbage for ref in thing.refs}
    idle = garbage.images(
        _nodes(engine.images(), history),
        needs=needs,
        mine=mine,
        users=engine.users(but=gone),
        layers=engine.layers,
    )
    return garbage.joined(left, idle, logs)


def _cache(project: Project, options: GcOptions, engine: Engine, dag: Dag, history: Iterable[Record]) -> CleanupPlan:
    """Find which build cache is removed."""
    held = named(engine.images())
    return garbage.cache(
        engine.build_cache(),
        texts={record.inputs.get("text", "") for record in history}
        | {node.stage.recipe for key, node in dag.nodes.items() if key in held},
        # A package layer is installed by one step, the same for all locks: it leaves nothing to resume from.
        missing={node.stage.recipe for key, node in dag.nodes.items() if key not in held and not node.stage.tool},
        before=time.time() - max(options.nights, 1) * _DAY_SECONDS,
        nights=options.nights,
        installed=_installed(project, dag),
    )


def _installed(project: Project, dag: Dag) -> int:
    """Return how many bytes the locks of all nodes install."""
    texts = {locked.text for row in dag.rows.values() for locked in project.locked(row)}
    return sizes.total(map(sizes.of_lock, texts)).installed


def _nodes(images: Sequence[EngineImage], history: Iterable[Record]) -> list[EngineNode]:
    rows: dict[Key, set[str]] = {}
    for record in history:
        rows.setdefault(record.key, set()).update(record.rows)
    return [
        EngineNode(
            id=image.id, key=key, ref=node_ref(key), names=image.names, rows=rows.get(key, set()) | {image.row} - {""}
        )
        for key, image in named(images).items()
    ]


def _remove(state: State, engine: Engine | None, things: Sequence[Thing]) -> None:
    """Remove containers, images and logs."""
    refs: Mapping[GarbageKind, list[str]] = {kind: [] for kind in GarbageKind}
    for thing in things:
        refs[thing.kind] += thing.refs
    if engine:
        for id_ in refs[GarbageKind.CONTAINER]:
            engine.remove_container(id_)
        for name in refs[GarbageKind.IMAGE]:
            engine.untag(name)
    state.remove_logs(refs[GarbageKind.LOG])
