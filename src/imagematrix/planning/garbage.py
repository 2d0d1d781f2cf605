"""What neither the matrix nor the last nights need, of all that builds leave behind. Decides, removes nothing.

A thing goes only when it is proven to be ours: a node by the label and the name that agree, and by the record of this
project; a name by the rows it was built for; a piece of build cache by the step that made it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Final

from imagematrix.model import WHEELHOUSE, Key
from imagematrix.planning import dockerfile
from imagematrix.text import documents
from imagematrix.text.documents import Aware, DamagedError

_SHORT: Final = 12
"""How many digits of a key stand in names of files and of published images."""
_STEP: Final = re.compile(r"\[\S+ \d+/\d+\] (.*)", re.DOTALL)
_COMMAND: Final = re.compile(r"(?:mount|cached mount) \S+ from exec .*? -c (.*?)(?: with id \"([^\"]*)\")?", re.DOTALL)
_OUR_MOUNT: Final = "/imagematrix-"
_DOWNLOADS_SHARE: Final = 2
_DOWNLOADS_SLACK: Final = 5_000_000_000
"""Bytes. What locks of the last weeks installed, and packages of the distribution, whose sizes no lock tells."""
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_LOG: Final = re.compile(rf"\S+-([0-9a-f]{{{_SHORT}}})\.log")


class Kind(StrEnum):
    """What a thing is."""

    CONTAINER = "container"
    IMAGE = "image"
    CACHE = "cache"
    TAG = "tag"
    LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing that goes or, though nothing needs it, stays."""

    kind: Kind
    name: str
    """What a person knows it by."""
    refs: tuple[str, ...] = ()
    """What it is removed by: names, ids or a path; of a tag in a registry the key and the digest."""
    bytes: int = 0
    """What its removal frees, of several that share something counted once."""
    reason: str
    """Why it goes, or stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What goes, and what stays though nothing needs it."""

    garbage: tuple[Thing, ...] = ()
    kept: tuple[Thing, ...] = ()

    def of(self, kind: Kind) -> tuple[Thing, ...]:
        """Return what goes of one kind."""
        return tuple(thing for thing in self.garbage if thing.kind is kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of a clean-up."""

    found: Found
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
class Node:
    """An image on the engine that is proven to be a node."""

    id: str
    key: Key
    names: tuple[str, ...]
    rows: Collection[str]
    """The rows it was built for, `family:tag`."""
    ref: str
    """Its name as a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """An image on the engine, ours or not: the ids of its filesystem layers, lowest first, and the bytes of all."""

    ids: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A node in a registry: its digest, and what it is made of (digest -> bytes)."""

    digest: str
    blobs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """A piece of BuildKit's cache. It carries no label: what made it is told by its description alone."""

    id: str
    description: str
    bytes: int
    shared: bool
    """An image has the same bytes: removing it frees nothing."""
    in_use: bool
    last_used: float
    """Seconds since 1970, as all moments here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContainer:
    """A container that checks of ours were given."""

    id: str
    name: str
    since: float
    """When it stopped; of one that runs, when it was made."""
    runs: bool


def nights(runs: Mapping[str, str], count: int, *, now: float) -> tuple[str, ...]:
    """Return the names of the runs (name -> text of its report.json) of the last so many nights, latest first.

    A night is a day, in UTC, on which a run began. What cannot be read is of no night, nor is what is dated after
    `now`, in seconds since 1970.
    """
    read = {name: run for name, text in runs.items() if (run := _run(text))}
    begun = {name: run.started for name, run in read.items() if not documents.is_future(run.started, now=now)}
    days = sorted({_day(started) for started in begun.values()}, reverse=True)[:count]
    return tuple(sorted((name for name in begun if _day(begun[name]) in days), key=begun.__getitem__, reverse=True))


def _day(moment: Aware) -> str:
    return moment.astimezone(UTC).date().isoformat()


def keys(runs: Iterable[str]) -> frozenset[Key]:
    """Return the nodes that the reports of runs are about."""
    return frozenset(node.key for text in runs if (run := _run(text)) for node in run.nodes)


def images(
    found: Iterable[Node],
    *,
    needs: Needs,
    mine: Callable[[Key], bool],
    users: Mapping[str, str],
    layers: Callable[[], Mapping[str, Layers]],
) -> Found:
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
    return Found(
        garbage=tuple(
            Thing(
                kind=Kind.IMAGE,
                name=_name(node),
                refs=tuple(name for name in node.names if name not in foreign[node.id]),
                bytes=freed.get(node.id, 0),
                reason=needs.none + (f"; it stays as {', '.join(foreign[node.id])}" if foreign[node.id] else ""),
            )
            for node in going
        ),
        kept=tuple(
            Thing(kind=Kind.IMAGE, name=_name(node), reason=stays[node.id]) for node in idle if node.id in stays
        ),
    )


def cache(records: Iterable[CacheRecord], *, texts: Iterable[str], before: float, nights: int, installed: int) -> Found:
    """Return which pieces of build cache go: made by steps of these stages, and not used since.

    Nothing needs them while the nodes exist; when an image has the same bytes, its removal frees them. What is kept
    of downloads is used every night and only grows: it goes when it is far more than `installed`, the bytes that all
    locks install, and the next night downloads them once.
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
        return "old downloads have gathered in it: the next builds fetch what they need" if grown else ""

    return Found(
        garbage=tuple(
            Thing(
                kind=Kind.CACHE,
                name=" ".join(record.description.split()),
                refs=(record.id,),
                bytes=0 if record.shared else record.bytes,
                reason=reason,
            )
            for record in records
            if (reason := why(record))
        )
    )


def stored_keys(tags: Iterable[str]) -> tuple[Key, ...]:
    """Return the tags of a registry's repository that are keys of nodes: all others are somebody else's."""
    return tuple(Key(tag) for tag in tags if _KEY.fullmatch(tag))


def containers(found: Iterable[CheckContainer], *, stopped: float, begun: float) -> Found:
    """Return which containers of checks go: those that stopped before one moment, or run since before another."""
    return Found(
        garbage=tuple(
            Thing(
                kind=Kind.CONTAINER,
                name=one.name,
                refs=(one.id,),
                reason=f"the checks that {'started' if one.runs else 'stopped'} it are over",
            )
            for one in found
            if one.since < (begun if one.runs else stopped)
        )
    )


def logs(sizes: Mapping[str, int], needed: Collection[Key]) -> Found:
    """Return which logs of nodes go: file name -> bytes in. A name that is no node's stays."""
    short = {key[:_SHORT] for key in needed}
    return Found(
        garbage=tuple(
            Thing(kind=Kind.LOG, name=name, refs=(name,), bytes=size, reason="nothing needs its node")
            for name, size in sorted(sizes.items())
            if (match := _LOG.fullmatch(name)) and match[1] not in short
        )
    )


def tags(
    found: Mapping[Key, Stored], *, name: Callable[[Key], str], needs: Needs, mine: Callable[[Key], bool]
) -> Found:
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
            reason = f"the same image is the node {stay[stored.digest][:_SHORT]}"
            kept.append(Thing(kind=Kind.TAG, name=name(key), reason=reason))
            continue
        freed = sum(size for blob, size in stored.blobs.items() if blob not in counted)
        counted |= stored.blobs.keys()
        refs = (key, stored.digest)
        garbage.append(Thing(kind=Kind.TAG, name=name(key), refs=refs, bytes=freed, reason=needs.none))
    return Found(garbage=tuple(garbage), kept=tuple(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    image: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What a clean-up wants to know of a report.json."""

    started: Aware
    nodes: tuple[_Keyed, ...]
    leaves: tuple[_Named, ...] = ()
    pushes: tuple[_Named, ...] = ()


def _run(text: str) -> _Run | None:
    """Read the report of a run; None for what is none of ours."""
    try:
        return documents.read(text, _Run)
    except DamagedError:
        return None


def _stays(node: Node, needs: Needs, users: Mapping[str, str]) -> str:
    """Return why a node stays that nothing needs; empty: it goes."""
    rows = sorted(name for name in node.names if name in needs.images)
    if rows:
        return f"the last good image of {rows[0]}"
    return f"container {users[node.id]} uses it" if node.id in users else ""


def repositories(runs: Iterable[str]) -> frozenset[str]:
    """Return where runs named images, by their reports."""
    named = [leaf.image for text in runs if (run := _run(text)) for leaf in run.leaves]
    return frozenset(repository(name) for name in named if name)


def node_repositories(runs: Iterable[str]) -> frozenset[str]:
    """Return where runs pushed nodes, by their reports."""
    named = [push.name for text in runs if (run := _run(text)) for push in run.pushes]
    return frozenset(repository(name) for name in named if name)


def repository(name: str) -> str:
    """Return an image's name without its tag."""
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


def _is_ours(name: str, node: Node, needs: Needs) -> bool:
    """Whether this project gave a name: the node's own, a row's, or one that a row was published under.

    A name in a repository that is not ours belongs to somebody else, whatever its tag is. A push that was killed leaves
    the node's key as a tag in our repository of nodes.
    """
    place, tag = repository(name), name.rpartition(":")[2]
    published = re.sub(rf"(-\d{{8}}-{node.key[:_SHORT]}|-latest)$", "", tag)
    return (
        name == node.ref
        or (place in needs.node_repositories and tag == node.key)
        or (place in needs.repositories and any(f"/{place}:{published}".endswith(f"/{row}") for row in node.rows))
    )


def _name(node: Node) -> str:
    leaves = [name for name in node.names if name != node.ref]
    return f"{leaves[0]} ({node.key[:_SHORT]})" if leaves else node.ref


def _freed(gone: Sequence[str], layers: Mapping[str, Layers]) -> Mapping[str, int]:
    """Return for each image that goes what that frees: what no image that stays, and none counted before, has too."""
    stay = {image.ids[:length] for id_, image in layers.items() if id_ not in gone for length in _lengths(image)}
    sizes = {image.ids: image.bytes for image in layers.values()}
    freed: dict[str, int] = {}
    for id_ in sorted((id_ for id_ in gone if id_ in layers), key=lambda id_: (len(layers[id_].ids), id_)):
        image = layers[id_]
        below = next((image.ids[:at] for at in reversed(_lengths(image)) if image.ids[:at] in stay), ())
        # Sizes are known of images alone: what is shared and is none counts as the biggest image in it.
        known = max((sizes.get(below[:at], 0) for at in range(len(below) + 1)), default=0)
        freed[id_] = max(0, image.bytes - known)
        stay |= {image.ids[:length] for length in _lengths(image)}
    return freed


def _lengths(image: Layers) -> range:
    return range(1, len(image.ids) + 1)


def _is_of(description: str, steps: Collection[str]) -> bool:
    """Whether a piece of cache was made by one of these steps, as BuildKit describes it."""
    if step := _STEP.fullmatch(description):
        return _plain(step[1]) in steps
    if command := _COMMAND.fullmatch(description):
        return (command[2] or "").startswith(_OUR_MOUNT) or _plain(command[1]) in steps
    return description == f"local source for {WHEELHOUSE}"


def _plain(text: str) -> str:
    return " ".join(text.split())


def total(found: Iterable[Thing]) -> int:
    """Return the bytes that all of it frees."""
    return sum(thing.bytes for thing in found)


def joined(*parts: Found) -> Found:
    """Join what was found of several kinds."""
    return Found(
        garbage=tuple(thing for part in parts for thing in part.garbage),
        kept=tuple(thing for part in parts for thing in part.kept),
    )
