"""What a report.json says, read back: the runs that a page is made of, this one and those before.

The types say what is valid: a report may be damaged, or of an earlier version, which lacks what has a default here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from imagematrix.model import Key, Status
from imagematrix.planning.checks import Check, CheckOutcome, ImageOutcome
from imagematrix.text import documents
from imagematrix.text.documents import Aware, Bytes, Count, DamagedError, Moment, Seconds

PULLABLE: Final = frozenset({"pushed", "moved", "kept"})
"""The outcomes of a name that stands for the image of its run."""
WAITING: Final = "waiting"
"""The outcome of a name that will, when the image is verified: nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRetry:
    """A try that failed in passing."""

    number: Count
    why: str
    kind: str
    source: str
    """The host that flaked; empty: not known."""
    waited: Seconds
    """Seconds until the next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastNode:
    """A node of a run; `outcome` is built, reused, failed or skipped."""

    key: Key
    layer: str
    parent: Key | None
    label: str
    outcome: Status
    seconds: Seconds
    waited: Seconds = 0.0
    """Seconds in which it waited for a cache that another build used: not among those that it took."""
    started: Seconds | None = None
    """Seconds since the run began; None: it was not begun."""
    lane: Count | None = None
    """Which of the builds that ran at once it was."""
    log: str
    attempts: Count
    retries: tuple[PastRetry, ...] = ()
    why: str
    tail: tuple[str, ...] = ()
    bytes: Bytes | None = None
    """What it adds to its parent; None: no engine could tell."""
    leaves: tuple[str, ...]

    @property
    def ran(self) -> bool:
        """It took time in this run."""
        return self.outcome in {Status.BUILT, Status.FAILED} and self.started is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastName:
    """A name under which an image was published, or should have been."""

    name: str
    digest: str
    outcome: str
    why: str = ""
    retries: tuple[PastRetry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLeaf:
    """A row in a run."""

    name: str
    image: str
    outcome: Status | None
    """None: this run did not build it, it only checked or published it."""
    digest: str
    bytes: int | None
    blame: Key | None
    seconds: float
    why: str
    """Of one that was skipped."""
    base: str
    """What it stands on: a digest where that is locked, else a name."""
    versions: Mapping[str, str]
    """Package -> version, of all its locks."""
    is_built: bool
    """There is an image of it, as far as this run knows."""
    verification: ImageOutcome | None
    """What `verify` found; None: it did not look."""
    cut_off: str
    """Why its checks did not come to their end."""
    checks: tuple[Check, ...]
    published: tuple[PastName, ...]

    @property
    def names(self) -> Mapping[str, str]:
        """What it can be pulled as: name -> digest."""
        return {each.name: each.digest for each in self.published if each.outcome in PULLABLE}

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """What was found wrong with it."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPush:
    """What became of the push of a node."""

    node: Key
    name: str
    outcome: str
    why: str
    retries: tuple[PastRetry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run; nodes have their parents before them."""

    started: datetime
    seconds: float
    nodes: tuple[PastNode, ...]
    pushes: tuple[PastPush, ...]
    leaves: tuple[PastLeaf, ...]
    facts: Mapping[str, date]
    """Data file of the catalogue -> the day on which its sources were last looked at."""
    by_key: Mapping[Key, PastNode] = field(repr=False)
    by_name: Mapping[str, PastLeaf] = field(repr=False)

    @property
    def retries(self) -> Iterator[tuple[str, PastRetry]]:
        """Each try that was repeated, with what was tried: a build, the push of a node, a tag."""
        for node in self.nodes:
            yield from ((node.label, retry) for retry in node.retries)
        for push in self.pushes:
            yield from ((f"push of {self.by_key[push.node].label}", retry) for retry in push.retries)
        for leaf in self.leaves:
            yield from ((name.name, retry) for name in leaf.published for retry in name.retries)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blame:
    node: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """A row as report.json has it; `build`, `verify` and `push` each add their part."""

    name: str
    image: str
    outcome: Status | None = None
    digest: str | None = None
    bytes: Bytes | None = None
    blame: _Blame | None = None
    seconds: Seconds = 0.0
    why: str = ""
    base: str = ""
    locks: tuple[str, ...] = ()
    is_built: bool | None = None
    verification: ImageOutcome | None = None
    cut_off: str = ""
    checks: tuple[Check, ...] | None = None
    published: tuple[PastName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A report.json."""

    started: Aware
    seconds: Seconds
    nodes: tuple[PastNode, ...]
    leaves: tuple[_Leaf, ...]
    locks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pushes: tuple[PastPush, ...] = ()
    facts: Mapping[str, date] = field(default_factory=dict)


def read(text: str) -> PastRun:
    """Read a report.json, of an earlier version of ours too. Raises DamagedError, a ValueError, for anything else."""
    document = documents.read(text, _Document)
    leaves = tuple(_leaf(leaf, document.locks) for leaf in document.leaves)
    _refuse_strangers(document)
    return PastRun(
        started=document.started,
        seconds=document.seconds,
        nodes=document.nodes,
        pushes=document.pushes,
        leaves=leaves,
        facts=document.facts,
        by_key={node.key: node for node in document.nodes},
        by_name={leaf.name: leaf for leaf in leaves},
    )


def _refuse_strangers(document: _Document) -> None:
    """Raise DamagedError where a report names nodes that it does not have: a parent comes before its children."""
    seen: set[Key] = set()
    for node in document.nodes:
        if node.key in seen or (node.parent and node.parent not in seen):
            raise DamagedError(f"node {node.key!r:.80} has no parent before it, or is there twice")
        seen.add(node.key)
    named = [push.node for push in document.pushes]
    if unknown := next((key for key in named if key not in seen), None):
        raise DamagedError(f"node {unknown!r:.80} is named but not there")


def read_all(texts: Mapping[str, str], *, now: Moment) -> tuple[Mapping[str, PastRun], tuple[str, ...]]:
    """Read runs by file name; return them likewise, oldest first, and a word on each that does not count.

    `now` is in seconds since 1970: a run of the future is the mistake of some clock, and would never grow old.
    """
    runs: dict[str, PastRun] = {}
    words = []
    for name, text in texts.items():
        try:
            run = read(text)
        except DamagedError as error:
            words.append(f"{name} is not a report of imagematrix and was skipped: {error}")
        else:
            if documents.is_future(run.started, now=now):
                words.append(f"{name} is dated in the future ({run.started:%Y-%m-%d}) and was skipped")
            else:
                runs[name] = run
    return dict(sorted(runs.items(), key=lambda each: each[1].started)), tuple(words)


def _leaf(leaf: _Leaf, locks: Mapping[str, Mapping[str, str]]) -> PastLeaf:
    return PastLeaf(
        name=leaf.name,
        image=leaf.image,
        outcome=leaf.outcome,
        digest=leaf.digest or "",
        bytes=leaf.bytes,
        blame=leaf.blame.node if leaf.blame else None,
        seconds=leaf.seconds,
        why=leaf.why,
        base=leaf.base,
        versions=dict(_merged(leaf.locks, locks)),
        is_built=bool(leaf.digest) if leaf.is_built is None else leaf.is_built,
        verification=leaf.verification or _verification(leaf),
        cut_off=leaf.cut_off,
        checks=leaf.checks or (),
        published=leaf.published,
    )


def _verification(leaf: _Leaf) -> ImageOutcome | None:
    """Return what `verify` found by a report from before it said so itself, which knew no unchecked image."""
    if leaf.checks is None:
        return None
    if leaf.is_built is False:
        return ImageOutcome.MISSING
    failed = any(check.outcome is CheckOutcome.FAILED for check in leaf.checks)
    return ImageOutcome.FAILED if failed else ImageOutcome.PASSED


def _merged(paths: Sequence[str], locks: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for path in paths:
        yield from locks.get(path, {}).items()
