"""The runs that a page is made of, this one and those before, with what it needs of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from imagematrix.model import Key, Status
from imagematrix.planning.checks import CheckOutcome, CheckResult, ImageOutcome
from imagematrix.report import document
from imagematrix.report.document import Checkout, Document, LeafEntry, NameEntry, NodeEntry, PushEntry, RetryEntry
from imagematrix.text import documents
from imagematrix.text.documents import DamagedError, Moment

PULLABLE: Final = frozenset({"pushed", "moved", "kept"})
"""The outcomes of a name that stands for the image of its run."""
WAITING: Final = "waiting"
"""The outcome of a name that will, when the image is verified: nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLeaf:
    """A row in a run."""

    name: str
    image: str
    outcome: Status | None
    """None: this run did not build it, it only checked or published it."""
    digest: str
    bytes: int | None
    caused_by: Key | None
    seconds: float
    why: str
    """Of one that was skipped."""
    base: str
    """Its base: a digest where that is locked, else a name."""
    versions: Mapping[str, str]
    """Package -> version, of all its locks."""
    is_built: bool
    """There is an image of it, as far as this run knows."""
    verification: ImageOutcome | None
    """What `verify` found; None: it did not look."""
    interruption: str
    """Why its checks did not finish."""
    checks: tuple[CheckResult, ...]
    published: tuple[NameEntry, ...]

    @property
    def names(self) -> Mapping[str, str]:
        """What it can be pulled as: name -> digest."""
        return {each.name: each.digest for each in self.published if each.outcome in PULLABLE}

    @property
    def update_bytes(self) -> int | None:
        """What a machine with its previous published image downloads, compressed; None: it is not published."""
        return max((each.update_bytes for each in self.published if each.outcome in PULLABLE), default=None)

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """What was found wrong with it."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run; nodes have their parents before them."""

    imagematrix: str
    """The version that ran; empty: not known."""
    started: datetime
    seconds: float
    nodes: tuple[NodeEntry, ...]
    pushes: tuple[PushEntry, ...]
    leaves: tuple[PastLeaf, ...]
    facts: Mapping[str, date]
    """Data file of the catalogue -> the day on which its sources were last looked at."""
    checkout: Checkout
    by_key: Mapping[Key, NodeEntry] = field(repr=False)
    by_name: Mapping[str, PastLeaf] = field(repr=False)

    @property
    def retries(self) -> Iterator[tuple[str, RetryEntry]]:
        """Each try that was repeated, with what was tried: a build, the push of a node, a tag."""
        for node in self.nodes:
            yield from ((node.label, retry) for retry in node.retries)
        for push in self.pushes:
            yield from ((f"push of {self.by_key[push.node].label}", retry) for retry in push.retries)
        for leaf in self.leaves:
            yield from ((name.name, retry) for name in leaf.published for retry in name.retries)


def read(text: str) -> PastRun:
    """Read a report.json, also of an earlier version of imagematrix. Raises DamagedError, a ValueError, otherwise."""
    return view(document.read(text))


def view(document: Document) -> PastRun:
    """Return a run as pages want it. Raises DamagedError where it names nodes that it does not have."""
    leaves = tuple(_leaf(leaf, document.locks) for leaf in document.leaves)
    _refuse_strangers(document)
    return PastRun(
        imagematrix=document.imagematrix,
        started=document.started,
        seconds=document.seconds,
        nodes=document.nodes,
        pushes=document.pushes,
        leaves=leaves,
        facts=document.facts,
        checkout=document.checkout,
        by_key={node.key: node for node in document.nodes},
        by_name={leaf.name: leaf for leaf in leaves},
    )


def _refuse_strangers(document: Document) -> None:
    """Raise DamagedError where a report names nodes that it does not have: a parent comes before its children."""
    seen: set[Key] = set()
    for node in document.nodes:
        if node.key in seen or not {*filter(None, (node.parent, node.packages))} <= seen:
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


def _leaf(leaf: LeafEntry, locks: Mapping[str, Mapping[str, str]]) -> PastLeaf:
    return PastLeaf(
        name=leaf.name,
        image=leaf.image,
        outcome=leaf.outcome,
        digest=leaf.digest or "",
        bytes=leaf.bytes,
        caused_by=leaf.blame.node if leaf.blame else None,
        seconds=leaf.seconds,
        why=leaf.why,
        base=leaf.base,
        versions=dict(_merged(leaf.locks, locks)),
        is_built=bool(leaf.digest) if leaf.is_built is None else leaf.is_built,
        verification=leaf.verification or _verification(leaf),
        interruption=leaf.cut_off or "",
        checks=leaf.checks or (),
        published=leaf.published or (),
    )


def _verification(leaf: LeafEntry) -> ImageOutcome | None:
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
