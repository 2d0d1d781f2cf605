"""Which nodes on the engine nothing needs."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagematrix.model import ImageLayers, Key
from imagematrix.planning.garbage.cleanup import SHORT, CleanupPlan, GarbageKind, Needs, Thing
from imagematrix.planning.garbage.runs import repository


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineNode:
    """An image on the engine that is proven to be a node."""

    id: str
    key: Key
    names: tuple[str, ...]
    rows: Collection[str]
    """The rows it was built for, `family:tag`."""
    ref: str
    """Its name as a node."""


def images(
    found: Iterable[EngineNode],
    *,
    needs: Needs,
    mine: Callable[[Key], bool],
    users: Mapping[str, str],
    layers: Callable[[], Mapping[str, ImageLayers]],
) -> CleanupPlan:
    """Return which nodes go, with the names of leaves that they have.

    `mine` tells whether a node is of this project. `users` names for an image's id a container that uses it.
    `layers` gives those of all images, by id; it is asked only when something goes.
    """
    idle = [node for node in found if node.key not in needs.keys and mine(node.key)]
    stays = {node.id: reason for node in idle if (reason := _stays(node, needs, users))}
    going = sorted((node for node in idle if node.id not in stays), key=_name)
    foreign = {node.id: [name for name in node.names if not _is_ours(name, node, needs)] for node in going}
    gone = [node.id for node in going if not foreign[node.id]]
    freed = _freed(gone, layers()) if gone else {}
    return CleanupPlan(
        garbage=tuple(
            Thing(
                kind=GarbageKind.IMAGE,
                name=_name(node),
                refs=tuple(name for name in node.names if name not in foreign[node.id]),
                bytes=freed.get(node.id, 0),
                reason=needs.none + (f"; it stays as {', '.join(foreign[node.id])}" if foreign[node.id] else ""),
            )
            for node in going
        ),
        kept=tuple(
            Thing(kind=GarbageKind.IMAGE, name=_name(node), reason=stays[node.id]) for node in idle if node.id in stays
        ),
    )


def _stays(node: EngineNode, needs: Needs, users: Mapping[str, str]) -> str:
    """Return why a node stays that nothing needs; empty: it goes."""
    rows = sorted(name for name in node.names if name in needs.images)
    if rows:
        return f"the last good image of {rows[0]}"
    return f"container {users[node.id]} uses it" if node.id in users else ""


def _is_ours(name: str, node: EngineNode, needs: Needs) -> bool:
    """Whether this project gave a name: the node's own, a row's, or one that a row was published under.

    A name in another repository belongs to someone else, whatever its tag is. A push that was killed leaves the node's
    key as a tag in our repository of nodes.
    """
    place, tag = repository(name), name.rpartition(":")[2]
    published = re.sub(rf"(-\d{{8}}-{node.key[:SHORT]}|-latest)$", "", tag)
    return (
        name == node.ref
        or (place in needs.node_repositories and tag == node.key)
        or (place in needs.repositories and any(f"/{place}:{published}".endswith(f"/{row}") for row in node.rows))
    )


def _name(node: EngineNode) -> str:
    leaves = [name for name in node.names if name != node.ref]
    return f"{leaves[0]} ({node.key[:SHORT]})" if leaves else node.ref


def _freed(gone: Sequence[str], layers: Mapping[str, ImageLayers]) -> Mapping[str, int]:
    """Return for each removed image what that frees: what no kept image, and none counted before, also has."""
    stay = {image.ids[:length] for id_, image in layers.items() if id_ not in gone for length in _lengths(image)}
    sizes = {image.ids: image.bytes for image in layers.values()}
    freed: dict[str, int] = {}
    for id_ in sorted((id_ for id_ in gone if id_ in layers), key=lambda id_: (len(layers[id_].ids), id_)):
        image = layers[id_]
        below = next((image.ids[:at] for at in reversed(_lengths(image)) if image.ids[:at] in stay), ())
        # Sizes are known of images alone: anything else that is shared counts as the biggest image in it.
        known = max((sizes.get(below[:at], 0) for at in range(len(below) + 1)), default=0)
        freed[id_] = max(0, image.bytes - known)
        stay |= {image.ids[:length] for length in _lengths(image)}
    return freed


def _lengths(image: ImageLayers) -> range:
    return range(1, len(image.ids) + 1)
