"""What a report.json says, read back: the runs that a page is made of, this one and those before."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from imagematrix.model import Key, Status
from imagematrix.planning.checks import Check, CheckOutcome

PULLABLE: Final = frozenset({"pushed", "moved", "kept"})
"""The outcomes of a name that stands for the image of its run."""
WAITING: Final = "waiting"
"""The outcome of a name that will, when the image is verified: nothing is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRetry:
    """A try that failed in passing."""

    number: int
    why: str
    kind: str
    source: str
    """The host that flaked; empty: not known."""
    waited: float
    """Seconds until the next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastNode:
    """A node of a run; `outcome` is built, reused, failed or skipped."""

    key: Key
    layer: str
    parent: Key | None
    label: str
    outcome: Status
    seconds: float
    started: float | None
    """Seconds since the run began; None: it was not begun."""
    lane: int | None
    """Which of the builds that ran at once it was."""
    log: str
    attempts: int
    retries: tuple[PastRetry, ...]
    why: str
    tail: tuple[str, ...]
    bytes: int | None
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
    why: str
    retries: tuple[PastRetry, ...]


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
    is_verified: bool
    """It was looked at by `verify`."""
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

    key: Key
    name: str
    outcome: str
    why: str
    retries: tuple[PastRetry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run; nodes have their parents before them."""

    started: datetime
    seconds: float
    nodes: tuple[PastNode, ...]
    pushes: tuple[PastPush, ...]
    leaves: tuple[PastLeaf, ...]
    by_key: Mapping[Key, PastNode] = field(repr=False)
    by_name: Mapping[str, PastLeaf] = field(repr=False)

    @property
    def retries(self) -> Iterator[tuple[str, PastRetry]]:
        """Each try that was repeated, with what was tried: a build, the push of a node, a tag."""
        for node in self.nodes:
            yield from ((node.label, retry) for retry in node.retries)
        for push in self.pushes:
            yield from ((f"push of {self.by_key[push.key].label}", retry) for retry in push.retries)
        for leaf in self.leaves:
            yield from ((name.name, retry) for name in leaf.published for retry in name.retries)


def read(text: str) -> PastRun:
    """Read a report.json, of an earlier version of ours too. Raises ValueError for what is none."""
    try:
        document = json.loads(text)
        nodes = tuple(_node(each) for each in document["nodes"])
        locks = document.get("locks", {})
        leaves = tuple(_leaf(each, locks) for each in document["leaves"])
        return PastRun(
            started=datetime.fromisoformat(document["started"]),
            seconds=float(document["seconds"]),
            nodes=nodes,
            pushes=tuple(_push(each) for each in document.get("pushes", ())),
            leaves=leaves,
            by_key={node.key: node for node in nodes},
            by_name={leaf.name: leaf for leaf in leaves},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a report of imagematrix: {error!r}") from error


def read_all(texts: Mapping[str, str]) -> tuple[tuple[PastRun, ...], tuple[str, ...]]:
    """Read runs by file name; return them, oldest first, and a word on each that cannot be read."""
    runs, words = [], []
    for name, text in texts.items():
        try:
            runs.append(read(text))
        except ValueError as error:
            words.append(f"{name} is passed over: {error}")
    return tuple(sorted(runs, key=lambda run: run.started)), tuple(words)


def _node(each: Mapping[str, Any]) -> PastNode:
    return PastNode(
        key=Key(each["key"]),
        layer=each["layer"],
        parent=Key(each["parent"]) if each["parent"] else None,
        label=each["label"],
        outcome=Status(each["outcome"]),
        seconds=each["seconds"],
        started=each.get("started"),
        lane=each.get("lane"),
        log=each["log"],
        attempts=each["attempts"],
        retries=_retries(each),
        why=each["why"],
        tail=tuple(each.get("tail", ())),
        bytes=each.get("bytes"),
        leaves=tuple(each["leaves"]),
    )


def _retries(each: Mapping[str, Any]) -> tuple[PastRetry, ...]:
    return tuple(
        PastRetry(
            number=retry["number"], why=retry["why"], kind=retry["kind"], source=retry["source"], waited=retry["waited"]
        )
        for retry in each.get("retries", ())
    )


def _leaf(each: Mapping[str, Any], locks: Mapping[str, Mapping[str, str]]) -> PastLeaf:
    outcome, blame = each.get("outcome"), each.get("blame")
    return PastLeaf(
        name=each["name"],
        image=each["image"],
        outcome=Status(outcome) if outcome else None,
        digest=each.get("digest") or "",
        bytes=each.get("bytes"),
        blame=Key(blame["node"]) if blame else None,
        seconds=each.get("seconds", 0.0),
        why=each.get("why", ""),
        base=each.get("base", ""),
        versions=dict(_merged(each.get("locks", ()), locks)),
        is_built=each.get("is_built", bool(each.get("digest"))),
        is_verified="checks" in each,
        checks=tuple(_check(check) for check in each.get("checks", ())),
        published=tuple(_published(name) for name in each.get("published", ())),
    )


def _merged(paths: Sequence[str], locks: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for path in paths:
        yield from locks.get(path, {}).items()


def _check(each: Mapping[str, Any]) -> Check:
    return Check(
        owner=each["owner"],
        name=each["name"],
        outcome=CheckOutcome(each["outcome"]),
        seconds=each["seconds"],
        why=each["why"],
        tail=tuple(each["tail"]),
        known=each["known"],
    )


def _push(each: Mapping[str, Any]) -> PastPush:
    return PastPush(
        key=Key(each["node"]), name=each["name"], outcome=each["outcome"], why=each["why"], retries=_retries(each)
    )


def _published(each: Mapping[str, Any]) -> PastName:
    return PastName(
        name=each["name"],
        digest=each["digest"],
        outcome=each["outcome"],
        why=each.get("why", ""),
        retries=_retries(each),
    )
