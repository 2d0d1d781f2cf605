"""Which pieces of BuildKit's cache nothing needs."""

import math
import re
from collections.abc import Collection, Iterable
from typing import Final

from imagematrix.model import WHEELHOUSE, CacheRecord
from imagematrix.planning import dockerfile
from imagematrix.planning.garbage.cleanup import CleanupPlan, GarbageKind, Thing

_STEP: Final = re.compile(r"\[\S+ +\d+/\d+\] (?:LINK )?(.*)", re.DOTALL)
"""What made a record. Numbers are padded where there are ten steps; LINK puts what a linked copy made upon the rest."""
_COMMAND: Final = re.compile(r"(?:mount|cached mount) \S+ from exec .*? -c (.*?)(?: with id \"([^\"]*)\")?", re.DOTALL)
_OUR_MOUNT: Final = "/imagematrix-"
_SMALL_BYTES: Final = 1_000_000
"""Results that are smaller stay until they are old, but for those that are younger than a bigger one that goes:
they may depend on it, and engines do not say so. To remove all of 13,000 takes minutes."""
_DOWNLOADS_SHARE: Final = 2
_DOWNLOADS_SLACK: Final = 5_000_000_000
"""Bytes. What locks of the last weeks installed, and packages of the distribution, whose sizes no lock tells."""


def cache(
    records: Iterable[CacheRecord],
    *,
    texts: Collection[str],
    missing: Collection[str],
    before: float,
    nights: int,
    installed: int,
) -> CleanupPlan:
    """Return which records of the build cache are removed, the youngest first: others may depend on the older ones.

    All were made by steps of these stages: `texts` are those of nodes that are on the engine or were, `missing` those
    of nodes that the next build makes. The results of a missing node's steps stay until no build has used them since
    `before`, because a failed build resumes there. Other results go when no image has their bytes: builds start from
    nodes, and the build cache alone would keep what a removed image held. A cache of downloads is used every night and
    only grows: it is removed when it is far bigger than `installed`, the bytes that all locks install, and the next
    night downloads them once.
    """
    resumed = {step for text in missing for step in dockerfile.steps(text)}
    steps = resumed.union(*map(dockerfile.steps, texts))
    most = _DOWNLOADS_SLACK + _DOWNLOADS_SHARE * installed
    youngest_first = sorted(records, key=lambda record: -record.created)
    repeated = [
        record
        for record in youngest_first
        if _is_unshared_result(record) and _is_of(record.description, steps) and not _is_of(record.description, resumed)
    ]
    oldest = min((record.created for record in repeated if record.bytes >= _SMALL_BYTES), default=math.inf)
    repeats = {record.id for record in repeated if record.created >= oldest}

    def why(record: CacheRecord) -> str:
        """Say why a piece goes; empty: it stays."""
        if record.in_use or not _is_of(record.description, steps):
            return ""
        if record.last_used < before:
            return f"no build has used it for {'a day' if nights <= 1 else f'{nights} days'}"
        if record.id in repeats:
            return "it repeats what an image holds, or held"
        grown = record.bytes > most and record.description.startswith("cached mount ")
        return "it has accumulated old downloads: the next builds fetch what they need" if grown else ""

    return CleanupPlan(
        garbage=tuple(
            Thing(
                kind=GarbageKind.CACHE,
                name=" ".join(record.description.split()),
                refs=(record.id,),
                bytes=0 if record.shared else record.bytes,
                reason=reason,
            )
            for record in youngest_first
            if (reason := why(record))
        )
    )


def _is_unshared_result(record: CacheRecord) -> bool:
    """Whether it is the result of a step, and not what the step reads or downloads, and no image has its bytes."""
    return record.description.startswith(("[", "mount / from ")) and not (record.shared or record.in_use)


def _is_of(description: str, steps: Collection[str]) -> bool:
    """Whether a piece of cache was made by one of these steps, as BuildKit describes it."""
    if step := _STEP.fullmatch(description):
        return _plain(step[1]) in steps
    if command := _COMMAND.fullmatch(description):
        return (command[2] or "").startswith(_OUR_MOUNT) or _plain(command[1]) in steps
    return description == f"local source for {WHEELHOUSE}"


def _plain(text: str) -> str:
    return " ".join(text.split())
