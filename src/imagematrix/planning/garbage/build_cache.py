"""Which pieces of BuildKit's cache nothing needs."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from imagematrix.model import WHEELHOUSE, CacheRecord
from imagematrix.planning import dockerfile
from imagematrix.planning.garbage.cleanup import CleanupPlan, GarbageKind, Thing

_STEP: Final = re.compile(r"\[\S+ \d+/\d+\] (.*)", re.DOTALL)
_COMMAND: Final = re.compile(r"(?:mount|cached mount) \S+ from exec .*? -c (.*?)(?: with id \"([^\"]*)\")?", re.DOTALL)
_OUR_MOUNT: Final = "/imagematrix-"
_SMALL_BYTES: Final = 1_000_000
"""Smaller results stay until they are old, if they depend on no bigger one: to remove 13,000 takes minutes."""
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
    reasons: dict[str, str] = {}

    def why(record: CacheRecord) -> str:
        """Say why a piece goes; empty: it stays."""
        if record.in_use or not _is_of(record.description, steps):
            return ""
        if record.last_used < before:
            return f"no build has used it for {'a day' if nights <= 1 else f'{nights} days'}"
        if _repeats(record, reasons.keys()) and not _is_of(record.description, resumed):
            return "it repeats what an image holds, or held"
        grown = record.bytes > most and record.description.startswith("cached mount ")
        return "it has accumulated old downloads: the next builds fetch what they need" if grown else ""

    oldest_first = sorted(records, key=lambda record: record.created)
    for record in oldest_first:
        if reason := why(record):
            reasons[record.id] = reason
    return CleanupPlan(
        garbage=tuple(
            Thing(
                kind=GarbageKind.CACHE,
                name=" ".join(record.description.split()),
                refs=(record.id,),
                bytes=0 if record.shared else record.bytes,
                reason=reasons[record.id],
            )
            for record in reversed(oldest_first)
            if record.id in reasons
        )
    )


def _repeats(record: CacheRecord, going: Collection[str]) -> bool:
    """Whether the result of a step, and not what it reads or downloads, takes bytes that no image has.

    A small one counts if it depends on one that goes, which BuildKit would keep for it.
    """
    made = record.description.startswith(("[", "mount / from "))
    return made and not record.shared and (record.bytes >= _SMALL_BYTES or not {*record.parents}.isdisjoint(going))


def _is_of(description: str, steps: Collection[str]) -> bool:
    """Whether a piece of cache was made by one of these steps, as BuildKit describes it."""
    if step := _STEP.fullmatch(description):
        return _plain(step[1]) in steps
    if command := _COMMAND.fullmatch(description):
        return (command[2] or "").startswith(_OUR_MOUNT) or _plain(command[1]) in steps
    return description == f"local source for {WHEELHOUSE}"


def _plain(text: str) -> str:
    return " ".join(text.split())
