"""Removes from one engine what a project wants to be removed: this machine's engine, or that of a cluster's machine."""

import time
from collections.abc import Sequence
from typing import Final

from imagematrix.engine import Engine
from imagematrix.model import EngineImage, node_ref
from imagematrix.planning import garbage
from imagematrix.planning.garbage import CleanupPlan, CleanupResult, EngineCleanup, EngineNode, GarbageKind
from imagematrix.planning.trust import named

_DAY_SECONDS: Final = 86400.0
_STOPPED_SECONDS: Final = 600.0
"""Twice as long as a check may take: none waits for a container that stopped before that."""
_RUNNING_SECONDS: Final = 6 * 3600.0
"""The checks of an image have finished by then."""


def clean(engine: Engine, wanted: EngineCleanup) -> CleanupResult:
    """Remove what is to go, or only say what that would be. Raises NoEngineError."""
    found = _look(engine, wanted)
    if wanted.dry:
        found = garbage.joined(found, _cache(engine, wanted))
        return CleanupResult(found=found, freed=garbage.total(found.garbage), dry=True)
    before = engine.disk_bytes()
    for thing in found.of(GarbageKind.CONTAINER):
        for id_ in thing.refs:
            engine.remove_container(id_)
    for thing in found.of(GarbageKind.IMAGE):
        for name in thing.refs:
            engine.untag(name)
    # After the images: what only the build cache holds by then is found, also what a killed run left.
    cache = _cache(engine, wanted)
    engine.prune_cache([ref for thing in cache.garbage for ref in thing.refs])
    freed = max(0, before - engine.disk_bytes())
    return CleanupResult(found=garbage.joined(found, cache), freed=freed, dry=False)


def _look(engine: Engine, wanted: EngineCleanup) -> CleanupPlan:
    """Find what goes, but for build cache."""
    now = time.time()
    left = garbage.containers(
        engine.check_containers(wanted.checks), stopped=now - _STOPPED_SECONDS, begun=now - _RUNNING_SECONDS
    )
    gone = {ref for thing in left.garbage for ref in thing.refs}
    idle = garbage.images(
        _nodes(engine.images(), wanted),
        needs=wanted.needs,
        mine=lambda key: wanted.known is None or key in wanted.known,
        users=engine.users(but=gone),
        layers=engine.layers,
    )
    return garbage.joined(left, idle)


def _nodes(images: Sequence[EngineImage], wanted: EngineCleanup) -> list[EngineNode]:
    return [
        EngineNode(
            id=image.id,
            key=key,
            ref=node_ref(key),
            names=image.names,
            rows=wanted.rows.get(key, frozenset()) | {image.row} - {""},
        )
        for key, image in named(images).items()
    ]


def _cache(engine: Engine, wanted: EngineCleanup) -> CleanupPlan:
    """Find which build cache goes."""
    held = named(engine.images())
    return garbage.cache(
        engine.build_cache(),
        texts=wanted.recorded | {text for key, text in wanted.stages.items() if key in held},
        missing={wanted.stages[key] for key in wanted.resumable if key not in held},
        before=time.time() - max(wanted.needs.nights, 1) * _DAY_SECONDS,
        nights=wanted.needs.nights,
        installed=wanted.installed,
    )
