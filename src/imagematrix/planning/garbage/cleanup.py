"""What goes, what stays and why: the nouns of a clean-up."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix.model import Key

SHORT: Final = 12
"""How many digits of a key stand in names of files and of published images."""


class GarbageKind(StrEnum):
    """What a thing is."""

    CONTAINER = "container"
    IMAGE = "image"
    CACHE = "cache"
    TAG = "tag"
    LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing that is removed or, although nothing needs it, kept."""

    kind: GarbageKind
    name: str
    """What a person knows it by."""
    refs: tuple[str, ...] = ()
    """What it is removed by: names, ids or a path; of a node in a registry its key, digest and tag of signatures."""
    bytes: int = 0
    """What its removal frees, of several that share something counted once."""
    reason: str
    """Why it goes, or stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupPlan:
    """What goes, and what stays though nothing needs it."""

    garbage: tuple[Thing, ...] = ()
    kept: tuple[Thing, ...] = ()

    def of(self, kind: GarbageKind) -> tuple[Thing, ...]:
        """Return what is removed of one kind."""
        return tuple(thing for thing in self.garbage if thing.kind is kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult:
    """What came of a clean-up."""

    found: CleanupPlan
    freed: int
    """Bytes: measured on the engine's disk; of a dry run what is expected."""
    dry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What has to stay."""

    keys: frozenset[Key]
    """The nodes of the matrix and of the last nights."""
    images: Collection[str] = ()
    """The names of the matrix' images."""
    repositories: Collection[str] = ()
    """Where this project names images: its rows' repositories, and those that its reports name."""
    node_repositories: Collection[str] = ()
    """Where this project pushes nodes: the matrix' own repository, and those that its reports name."""
    nights: int
    """How many nights those are."""

    @property
    def none(self) -> str:
        """Say that nothing needs a thing."""
        nights = {0: "", 1: " and the last night"}.get(self.nights, f" and the last {self.nights} nights")
        return f"not needed by the matrix{nights.replace(' and', ' or')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCleanup:
    """What a project wants to be removed from an engine, this machine's or another one's: all that decides it."""

    needs: Needs
    known: frozenset[Key] | None
    """The nodes that this project's records know of; None: nodes of anyone go too."""
    rows: Mapping[Key, frozenset[str]]
    """The rows that recorded nodes were built for."""
    recorded: frozenset[str]
    """The texts of the stages of recorded nodes."""
    stages: Mapping[Key, str]
    """Those of the matrix' nodes."""
    resumable: frozenset[Key]
    """The matrix' nodes that a failed build leaves something of: not those whose one step installs packages."""
    installed: int
    """How many bytes the locks of all nodes install."""
    checks: str
    """The label of the containers of checks."""
    dry: bool


def total(found: Iterable[Thing]) -> int:
    """Return the bytes that all of it frees."""
    return sum(thing.bytes for thing in found)


def joined(*parts: CleanupPlan) -> CleanupPlan:
    """Join what was found of several kinds."""
    return CleanupPlan(
        garbage=tuple(thing for part in parts for thing in part.garbage),
        kept=tuple(thing for part in parts for thing in part.kept),
    )
