"""A run as `report.json` has it: what `build` writes, what `verify` and `push` add, and what pages are made of.

One document for writing and reading. Its types say what is valid: a report may be damaged. What has a default here may
be missing: `build`, `verify` and `push` write their own part each, and earlier versions wrote less.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from imagematrix import __version__
from imagematrix.model import Key, Retry, Row, Status
from imagematrix.planning.checks import CheckResult, ImageOutcome, Verified
from imagematrix.planning.publication import Publication
from imagematrix.text import documents
from imagematrix.text.documents import Aware, Bytes, Count, DamagedError, Seconds

_Image = TypeVar("_Image", Verified, Publication)

SCHEMA: Final = 1
INTERRUPTED: Final = "interrupted"
"""Why an interrupted node failed: the documented outcomes are four, so it counts as failed."""

_PARTS: Final = ("is_built", "verification", "cut_off", "checks", "published", "unchanged_since")
"""What `verify` and `push` add to a leaf; without them it is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEntry:
    """A try that failed in passing."""

    number: Count
    why: str
    kind: str
    source: str
    """The host that flaked; empty: not known."""
    waited: Seconds
    """Seconds until the next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """How a node ended; `outcome` is built, reused, failed or skipped."""

    key: Key
    layer: str
    parent: Key | None
    packages: Key | None = None
    """The files of the package layer that it links."""
    label: str
    outcome: Status
    seconds: Seconds
    """What its tries took, without their waits."""
    waited: Seconds = 0.0
    """Seconds in which they waited for a cache that another build used."""
    pulled: Seconds = 0.0
    """Seconds, of those that they took, in which they pulled what the node is built on."""
    log: str
    attempts: Count
    retries: tuple[RetryEntry, ...] = ()
    started: Seconds | None = None
    """Seconds since the run began; None: it was not begun."""
    lane: Count | None = None
    """Which of the builds that run at once it was, from 0; None: it was not begun."""
    machine: str = ""
    """Where it was built, if the run had machines."""
    why: str
    tail: tuple[str, ...] = ()
    bytes: Bytes | None = None
    """What it adds to its parent and the files that it links, a first one to nothing; None: no engine could tell."""
    drifted: tuple[str, ...] = ()
    """Packages that apt installed in another version than the apt lock names."""
    leaves: tuple[str, ...]

    @property
    def interrupted(self) -> bool:
        """It was being built when the run was stopped: not its own fault."""
        return self.outcome is Status.FAILED and self.why == INTERRUPTED

    @property
    def ran(self) -> bool:
        """It took time in this run."""
        return self.outcome in {Status.BUILT, Status.FAILED} and self.started is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedNode:
    """The node that broke a row."""

    node: Key
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameEntry:
    """A name under which an image was published, or should have been."""

    name: str
    outcome: str
    digest: str
    update_bytes: Bytes = 0
    """What a machine with the name's previous image downloads, compressed."""
    why: str = ""
    retries: tuple[RetryEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafEntry:
    """How a row ended: failed when one of its nodes did, skipped when the run stopped before it was done."""

    name: str
    family: str = ""
    tag: str = ""
    platform: str = ""
    """Docker's."""
    outcome: Status | None = None
    """None: this run did not build it, it only checked or published it."""
    image: str
    digest: str | None = None
    """The image's id: the digest of its configuration; None: the run leaves no image of this row."""
    bytes: Bytes | None = None
    """As the engine counts it; as the registry does, compressed, when only that has the image."""
    blame: FailedNode | None = None
    seconds: Seconds = 0.0
    """Time spent on nodes that only this row has."""
    why: str = ""
    base: str = ""
    """Its base: the digest where that is locked, else the name."""
    locks: tuple[str, ...] = ()
    """What its Python packages are installed from, lowest layer first; a later one overrides those before it."""
    is_built: bool | None = None
    """Whether `verify` found an image; None: it did not look."""
    verification: ImageOutcome | None = None
    cut_off: str | None = None
    """Why its checks did not finish."""
    checks: tuple[CheckResult, ...] | None = None
    published: tuple[NameEntry, ...] | None = None
    unchanged_since: str | None = None
    """The day, in UTC, on which the image was made that its moving tags stood for already; empty: they did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEntry:
    """What became of the push of a node."""

    node: Key
    name: str
    outcome: str
    seconds: Seconds = 0.0
    attempts: Count = 0
    retries: tuple[RetryEntry, ...] = ()
    why: str
    machine: str = ""
    """The machine of a cluster that pushed it; empty: this one."""
    started: Seconds | None = None
    """Seconds since the run began, where a machine pushed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEntry:
    """A machine of the cluster that the run had."""

    name: str
    slots: Count
    """How many nodes it builds at once."""
    labels: tuple[str, ...] = ()
    faults: Count = 0
    """How often it failed for its own reasons."""
    is_set_aside: bool = False
    """It got no more jobs, because it failed too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What a run was of, as far as git and the CI system tell."""

    project: str = ""
    branch: str = ""
    commit: str = ""
    link: str = ""
    """Where the report, or the job that made it, can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One run: when, how long, and how every node and every row ended, in plan order."""

    schema: Count = SCHEMA
    imagematrix: str = ""
    """The version that made it; empty: one that did not say."""
    started: Aware
    seconds: Seconds
    checkout: Checkout = Checkout()
    nodes: tuple[NodeEntry, ...] = ()
    leaves: tuple[LeafEntry, ...] = ()
    locks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Lock -> package -> version, of all locks that leaves name."""
    pushes: tuple[PushEntry, ...] = ()
    machines: tuple[MachineEntry, ...] = ()
    """Those of the cluster; none: it ran on this machine."""
    facts: Mapping[str, date] = field(default_factory=dict)
    """Data file of the catalogue -> the day on which its sources were last looked at."""


def write(document: Document) -> str:
    """Return the JSON of a run."""
    return documents.write(document, optional=_PARTS)


def read(text: str) -> Document:
    """Read the JSON of a run, of an earlier version too. Raises DamagedError for anything else."""
    document = documents.read(text, Document)
    if document.schema > SCHEMA:
        raise DamagedError(f"its schema is {document.schema}, and this version reads schema {SCHEMA}")
    return document


def begun(started: datetime, seconds: float) -> Document:
    """Return the document of a run that built nothing."""
    moment = started.astimezone(UTC).replace(microsecond=0)
    return Document(imagematrix=__version__, started=moment, seconds=seconds)


def with_checks(document: Document, images: Iterable[Verified]) -> Document:
    """Add what `verify` found of images; rows that the run did not build become leaves of it."""
    return _with_parts(document, images, _checked)


def with_names(document: Document, images: Iterable[Publication]) -> Document:
    """Add under which names images were published; rows that the run did not build become leaves of it."""
    return _with_parts(document, images, _named)


def _with_parts(
    document: Document, images: Iterable[_Image], add: Callable[[LeafEntry, _Image], LeafEntry]
) -> Document:
    found = {image.row.name: image for image in images}
    whole = _with_rows(document, (image.row for image in found.values()))
    leaves = (add(leaf, found[leaf.name]) if leaf.name in found else leaf for leaf in whole.leaves)
    return replace(whole, leaves=tuple(leaves))


def _named(leaf: LeafEntry, image: Publication) -> LeafEntry:
    entries = (
        NameEntry(
            name=tag.target.name,
            outcome=tag.outcome.value,
            digest=tag.digest,
            update_bytes=tag.update_bytes,
            why=tag.why,
            retries=retries(tag.retries),
        )
        for tag in image.tags
    )
    return replace(leaf, published=tuple(entries), unchanged_since=image.since)


def retries(tries: Iterable[Retry]) -> tuple[RetryEntry, ...]:
    """Return the entries of the tries that were repeated, of a node, a push or a tag."""
    return tuple(
        RetryEntry(
            number=retry.number,
            why=retry.why,
            kind=retry.flake.kind.value,
            source=retry.flake.source,
            waited=retry.wait_seconds,
        )
        for retry in tries
    )


def _checked(leaf: LeafEntry, image: Verified) -> LeafEntry:
    return replace(
        leaf,
        is_built=image.built,
        verification=image.outcome,
        cut_off=image.interruption,
        checks=image.checks,
    )


def _with_rows(document: Document, rows: Iterable[Row]) -> Document:
    known = {leaf.name for leaf in document.leaves}
    new = (
        LeafEntry(name=row.name, family=row.family.name, tag=row.tag, platform=row.platform, image=row.image)
        for row in rows
        if row.name not in known
    )
    return replace(document, leaves=(*document.leaves, *new))
