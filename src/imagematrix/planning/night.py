"""One nightly run as data: its parts, their commands, what of them is done, and whether a run goes on with it.

A night that was cut off, by a kill or a reboot, is gone on with: same epoch, so that what it built is reused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from imagematrix.text import documents
from imagematrix.text.documents import DamagedError, Moment, Seconds

LONGEST: Final = 20 * 3600.0
"""In seconds. A night that began longer ago is over, finished or not: the next one must not wait for another day."""


class Part(StrEnum):
    """What a night consists of, in this order."""

    BASES = "bases"
    BUILD = "build"
    VERIFY = "verify"
    PUSH = "push"
    REPORT = "report"
    GC = "gc"


_ALWAYS: Final = frozenset({Part.REPORT, Part.GC})
"""They are about what the others did, so they are done again by a run that goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a part ended."""

    code: int
    seconds: Seconds

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return self.code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night."""

    epoch: str
    """The refresh epoch of all that it builds."""
    began: float
    """Seconds since 1970."""
    ended: Mapping[Part, Ended] = field(default_factory=dict)
    finished: bool = False

    @property
    def good(self) -> bool:
        """Whether each part that was tried went well."""
        return all(part.good for part in self.ended.values())

    def after(self, part: Part, ended: Ended) -> "Night":
        """Return the same night with one more part done."""
        return replace(self, ended={**self.ended, part: ended})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the parts are told."""

    rows: tuple[str, ...] = ()
    """The flags that select rows; none: all."""
    file: str
    """The matrix file."""
    site: str = ""
    nodes: bool = False
    """The matrix names a repository for nodes: they are pushed there, and removed."""
    images: bool = False
    """Rows have registries: their images are published."""
    report: str
    jobs: str = ""
    keep: str


def begun(text: str, *, now: float) -> Night | None:
    """Return the night that a record tells of, if it is to be gone on with; `now` in seconds since 1970."""
    night = _read(text)
    if night is None or night.finished or not 0 <= now - night.began <= LONGEST:
        return None
    return night


def todo(night: Night, options: Options) -> tuple[Part, ...]:
    """Return the parts to be run, in order: what did not end well is tried again, what is about the others too.

    Bases are asked for once a night, whatever came of it: a digest that moves meanwhile would void what was built.
    """
    return tuple(part for part in Part if _is_due(part, night) and (part is not Part.PUSH or options.images))


def _is_due(part: Part, night: Night) -> bool:
    if part in _ALWAYS or part not in night.ended:
        return True
    return not night.ended[part].good and part is not Part.BASES


def command(part: Part, options: Options) -> tuple[str, ...]:
    """Return the words that do a part: the very command that does it alone."""
    rows = options.rows or ("--matrix",)
    jobs = ("--jobs", options.jobs) if options.jobs else ()
    site = ("--site", options.site) if options.site else ()
    report = ("--report", options.report)
    words: Sequence[str]
    match part:
        case Part.BASES:
            words = ("lock", "--bases", "--upgrade", *options.rows, *site)
        case Part.BUILD:
            words = ("build", *rows, *jobs, *site, *report, *(["--push"] * (options.nodes or options.images)))
        case Part.VERIFY:
            words = ("verify", *rows, *jobs, *report)
        case Part.PUSH:
            words = ("push", *rows, *site, *report)
        case Part.REPORT:
            words = ("report", *report)
        case Part.GC:
            words = ("gc", "--keep", options.keep, *(["--registry", *site] * options.nodes))
    return (*words, "--file", options.file)


def dump(night: Night) -> str:
    """Write a night's record."""
    document = {
        "epoch": night.epoch,
        "began": night.began,
        "finished": night.finished,
        "parts": {part.value: {"code": ended.code, "seconds": ended.seconds} for part, ended in night.ended.items()},
    }
    return json.dumps(document, indent=2) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """What .imagematrix/night.json holds."""

    epoch: str
    began: Moment
    finished: bool
    parts: Mapping[Part, Ended]


def _read(text: str) -> Night | None:
    """Read a record; None for one that is damaged."""
    try:
        document = documents.read(text, _Document)
    except DamagedError:
        return None
    return Night(epoch=document.epoch, began=document.began, finished=document.finished, ended=document.parts)
