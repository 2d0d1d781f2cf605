"""Which containers and logs of ended runs nothing needs."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from imagematrix.model import CheckContainer, Key
from imagematrix.planning.garbage.cleanup import SHORT, CleanupPlan, GarbageKind, Thing

_LOG: Final = re.compile(rf"\S+-([0-9a-f]{{{SHORT}}})\.log")


def containers(found: Iterable[CheckContainer], *, stopped: float, begun: float) -> CleanupPlan:
    """Return which containers of checks go: those that stopped before one moment, or run since before another."""
    return CleanupPlan(
        garbage=tuple(
            Thing(
                kind=GarbageKind.CONTAINER,
                name=one.name,
                refs=(one.id,),
                reason=f"the checks that {'started' if one.runs else 'stopped'} it are over",
            )
            for one in found
            if one.since < (begun if one.runs else stopped)
        )
    )


def logs(sizes: Mapping[str, int], needed: Collection[Key]) -> CleanupPlan:
    """Return which logs of nodes are removed: file name -> bytes in. A file that is not named after a node is kept."""
    short = {key[:SHORT] for key in needed}
    return CleanupPlan(
        garbage=tuple(
            Thing(kind=GarbageKind.LOG, name=name, refs=(name,), bytes=size, reason="its node is no longer needed")
            for name, size in sorted(sizes.items())
            if (match := _LOG.fullmatch(name)) and match[1] not in short
        )
    )
