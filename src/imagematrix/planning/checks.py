"""What is to be checked of which image, and what need not be checked again: decides, runs nothing.

A check that passed stays passed while the image (its key and its id), the file the check stands in, the values of the
row and the plugin that runs it are the same.
"""

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix.model import Destination, Key, Row
from imagematrix.planning.keys import key_of
from imagematrix.text import documents
from imagematrix.text.documents import Seconds

UNCHECKED: Final = "none of whose layers has a check that could run"
ENGINE_STOPPED: Final = "the engine stopped answering"
ENGINE_RESTARTED: Final = "the engine was restarted"
ENGINE_LOST: Final = frozenset({ENGINE_STOPPED, ENGINE_RESTARTED})
"""Why checks end early when the engine goes away."""
_DESTINATION: Final = "destination "
"""What the owner of a destination's rules begins with; the name of a layer has no space."""


class CheckOutcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ImageOutcome(StrEnum):
    """What is known of an image once its checks ran."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    """None of its layers has a check, or all of them were skipped: nothing is wrong, and nothing is proven."""
    NOT_CHECKED = "not checked"
    """Its checks did not finish, through no fault of the image: the engine went away, or the disk is full."""
    MISSING = "missing"
    """It is not built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing proven of an image, or not."""

    owner: str
    """The layer whose folder holds it; of a destination's rule: `destination NAME`."""
    name: str
    outcome: CheckOutcome
    seconds: Seconds = 0.0
    why: str = ""
    """Of a failed one: the assertion; of a skipped one: the reason."""
    tail: tuple[str, ...] = ()
    """What else there is to read when it failed, last lines last."""
    known: bool = False
    """It was settled in an earlier run."""

    @property
    def proves(self) -> bool:
        """It is a check of a layer, and it was not skipped."""
        return not self.owner.startswith(_DESTINATION) and self.outcome is not CheckOutcome.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The checks of one owner for one image, as far as they must run."""

    owner: str
    fingerprint: Key
    """Hash of everything that its outcome depends on, except the image."""
    known: tuple[CheckResult, ...] = ()
    """What is settled already."""
    whole: bool = False
    """All of it is settled: nothing runs."""
    destination: Destination | None = None
    """Whose rules these are; None: they are the checks of a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is remembered of a suite that ran: the checks that did not fail, and whether that was all of them."""

    key: Key
    image: str
    """The id of the image that they ran on."""
    owner: str
    fingerprint: Key
    checks: tuple[CheckResult, ...]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image to be checked."""

    row: Row
    key: Key
    image: str
    """Its id. What is settled of another image of the same key proves nothing of this one."""
    suites: tuple[Suite, ...]

    @property
    def open(self) -> tuple[Suite, ...]:
        """What must run."""
        return tuple(suite for suite in self.suites if not suite.whole)

    @property
    def verified(self) -> bool:
        """All of it is settled, and a check of a layer has passed."""
        return not self.open and any(check.proves for suite in self.suites for check in suite.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An image whose checks run."""

    row: Row
    check: str = ""
    """Which one now; empty: none yet."""
    done: int = 0
    total: int = 0
    """How many checks there are to run; 0: not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of an image's checks, in the order of its layers."""

    row: Row
    checks: tuple[CheckResult, ...]
    built: bool = True
    """There is an image of it on the engine."""
    doubt: str = ""
    """For a missing image: why the image of that name is not accepted."""
    seconds: float = 0.0
    interruption: str = ""
    """Why its checks did not finish; failures up to then prove nothing, and are dropped."""

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)

    @property
    def outcome(self) -> ImageOutcome:
        """What all of them together say."""
        if not self.built:
            return ImageOutcome.MISSING
        if self.interruption:
            return ImageOutcome.NOT_CHECKED
        if self.failed:
            return ImageOutcome.FAILED
        return ImageOutcome.PASSED if any(check.proves for check in self.checks) else ImageOutcome.UNCHECKED

    @property
    def good(self) -> bool:
        """There is an image, and checks have proven it."""
        return self.outcome is ImageOutcome.PASSED


def is_checked(row: Row, layers: Container[str]) -> bool:
    """Return whether one of a row's layers is among those that have checks."""
    return any(layer in layers for layer in row.family.layers)


class Known:
    """What was settled before, by image and suite; given oldest first."""

    def __init__(self, history: Iterable[Settled] = ()) -> None:
        self._settled = {(one.key, one.image, one.owner, one.fingerprint): one for one in history}

    def joined(self, more: Iterable[Settled]) -> "Known":
        """Return this with more, where it says less: a suite that is settled as a whole stays so."""
        return Known(sorted((*more, *self._settled.values()), key=lambda one: one.whole))

    def of(self, key: Key, image: str, owner: str, fingerprint: Key) -> Settled | None:
        """Return what is settled of a suite for exactly this image."""
        return self._settled.get((key, image, owner, fingerprint))


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the outcome of checks depends on, beside the image and its row."""

    files: Mapping[str, str]
    """The check files, by layer."""
    plugin: str
    """What runs them."""
    rules: Mapping[str, str]
    """All rules of destinations, by name."""
    auditor: str
    """What judges by rules."""


def decide(
    row: Row,
    key: Key,
    image: str,
    *,
    texts: Texts,
    destinations: Iterable[Destination],
    known: Known,
) -> Subject:
    """Return the checks of a row's image, by its id; `destinations` are those whose rules it must obey."""

    def suite(owner: str, inputs: Mapping[str, str], destination: Destination | None = None) -> Suite:
        fingerprint = key_of(inputs)
        settled = known.of(key, image, owner, fingerprint)
        return Suite(
            owner=owner,
            fingerprint=fingerprint,
            known=settled.checks if settled else (),
            whole=settled is not None and settled.whole,
            destination=destination,
        )

    def suites() -> Iterator[Suite]:
        for layer in row.family.layers:
            if layer in texts.files:
                inputs = {"check": texts.files[layer], "plugin": texts.plugin, "name": row.name, **_values(row)}
                yield suite(layer, inputs)
        for destination in destinations:
            if destination.rules:
                rules = {f"rule {rule}": texts.rules[rule] for rule in destination.rules}
                inputs = {"destination": repr(destination), "auditor": texts.auditor, "base": row.base.image, **rules}
                yield suite(f"{_DESTINATION}{destination.name}", inputs, destination)

    return Subject(row=row, key=key, image=image, suites=tuple(suites()))


def _values(row: Row) -> Mapping[str, str]:
    return {f"value {name}": value for name, value in row.values.items()}


def settle(subject: Subject, ran: Sequence[CheckResult], *, ended: bool = True) -> tuple[Settled, ...]:
    """Return what is worth remembering of a run of a subject's open suites.

    If the layers' checks were interrupted, those that passed are settled, but no suite as a whole.
    The rules of a destination are judged all at once, or none is.
    """
    own = {suite.owner: [one for one in ran if one.owner == suite.owner] for suite in subject.open}
    return tuple(
        _settled(
            subject, suite, own[suite.owner], ended=bool(own[suite.owner]) if suite.destination is not None else ended
        )
        for suite in subject.open
    )


def _settled(subject: Subject, suite: Suite, ran: Sequence[CheckResult], *, ended: bool) -> Settled:
    good = tuple(check for check in ran if check.outcome is not CheckOutcome.FAILED)
    return Settled(
        key=subject.key,
        image=subject.image,
        owner=suite.owner,
        fingerprint=suite.fingerprint,
        checks=(*suite.known, *good),
        whole=ended and len(good) == len(ran) and bool(suite.known or ran),
    )


def joined(subject: Subject, ran: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Return all checks of a subject, what was settled before and what ran now, in the order of its suites."""
    return tuple(
        check
        for suite in subject.suites
        for check in (*suite.known, *(check for check in ran if check.owner == suite.owner))
    )


def line(settled: Settled) -> str:
    """Write what is remembered as a line of JSON."""
    document = {
        "key": settled.key,
        "image": settled.image,
        "owner": settled.owner,
        "fingerprint": settled.fingerprint,
        "checks": [[check.name, check.outcome.value, check.seconds, check.why] for check in settled.checks],
        "whole": settled.whole,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of .imagematrix/verified.jsonl; of a check its name, outcome, seconds and why."""

    key: Key
    owner: str
    fingerprint: Key
    checks: tuple[tuple[str, CheckOutcome, Seconds, str], ...]
    whole: bool
    image: str = ""
    """Earlier versions did not record it: such a line settles nothing."""


def settled(text: str) -> Settled:
    """Read a line. Raises DamagedError for a line that is incomplete or not written by imagematrix."""
    line = documents.read(text, _Line)
    checks = tuple(
        CheckResult(owner=line.owner, name=name, outcome=outcome, seconds=seconds, why=why, known=True)
        for name, outcome, seconds, why in line.checks
    )
    return Settled(
        key=line.key,
        image=line.image,
        owner=line.owner,
        fingerprint=line.fingerprint,
        checks=checks,
        whole=line.whole,
    )
