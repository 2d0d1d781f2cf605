"""Which nodes that a registry keeps nothing needs."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.model import Key
from imagematrix.planning.garbage.cleanup import SHORT, CleanupPlan, GarbageKind, Needs, Thing

_KEY: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNode:
    """A node in a registry: its digest, and what it is made of (digest -> bytes)."""

    digest: str
    blobs: Mapping[str, int]
    attached: tuple[str, ...] = ()
    """The tags of what lies beside it: its signatures, and what is settled of its checks."""


def stored_keys(tags: Iterable[str]) -> tuple[Key, ...]:
    """Return the tags of a registry's repository that are keys of nodes: all other tags belong to someone else."""
    return tuple(Key(tag) for tag in tags if _KEY.fullmatch(tag))


def tags(
    found: Mapping[Key, StoredNode], *, name: Callable[[Key], str], needs: Needs, mine: Callable[[Key], bool]
) -> CleanupPlan:
    """Return which nodes that a registry keeps go; `name` is what a node is called there.

    A registry deletes a digest with all of its tags: one that a node to be kept has as well stays.
    """
    idle = {key for key in found if key not in needs.keys and mine(key)}
    stay = {found[key].digest: key for key in sorted(found.keys() - idle)}
    counted = {blob for key in found.keys() - idle for blob in found[key].blobs}
    garbage: list[Thing] = []
    kept: list[Thing] = []
    for key in sorted(idle):
        stored = found[key]
        if stored.digest in stay:
            reason = f"the same image is the node {stay[stored.digest][:SHORT]}"
            kept.append(Thing(kind=GarbageKind.TAG, name=name(key), reason=reason))
            continue
        freed = sum(size for blob, size in stored.blobs.items() if blob not in counted)
        counted |= stored.blobs.keys()
        refs = (key, stored.digest, *stored.attached)
        garbage.append(Thing(kind=GarbageKind.TAG, name=name(key), refs=refs, bytes=freed, reason=needs.none))
    return CleanupPlan(garbage=tuple(garbage), kept=tuple(kept))
