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
_DOWNLOADS_SHARE: Final = 2
_DOWNLOADS_SLACK: Final = 5_000_000_000
"""Bytes. What locks of the last weeks installed, and packages of the distribution, whose sizes no lock tells."""


def cache(
    records: Iterable[CacheRecord], *, texts: Iterable[str], before: float, nights: int, installed: int
) -> CleanupPlan:
    """Return which records of the build cache are removed: made by steps of these stages, and not used since.

    Nothing needs them while the nodes exist; when an image has the same bytes, its removal frees them. A cache of
    downloads is used every night and only grows: it is removed when it is far bigger than `installed`, the bytes that
    all locks install, and the next night downloads them once.
    """
    steps = {step for text in texts for step in dockerfile.steps(text)}
    most = _DOWNLOADS_SLACK + _DOWNLOADS_SHARE * installed

    def why(record: CacheRecord) -> str:
        """Say why a piece goes; empty: it stays."""
        if record.in_use or not _is_of(record.description, steps):
            return ""
        if record.last_used < before:
            return f"no build has used it for {'a day' if nights <= 1 else f'{nights} days'}"
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
            for record in records
            if (reason := why(record))
        )
    )


def _is_of(description: str, steps: Collection[str]) -> bool:
    """Whether a piece of cache was made by one of these steps, as BuildKit describes it."""
    if step := _STEP.fullmatch(description):
        return _plain(step[1]) in steps
    if command := _COMMAND.fullmatch(description):
        return (command[2] or "").startswith(_OUR_MOUNT) or _plain(command[1]) in steps
    return description == f"local source for {WHEELHOUSE}"


def _plain(text: str) -> str:
    return " ".join(text.split())
