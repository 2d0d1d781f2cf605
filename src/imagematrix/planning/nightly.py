"""One nightly run as data: its stages, their commands, what of them is done, and whether it is resumed.

An interrupted run, by a kill or a reboot, is resumed at the same epoch, so that what it built is reused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from imagematrix.text import documents
from imagematrix.text.documents import DamagedError, Moment, Seconds

LONGEST: Final = 20 * 3600.0
"""In seconds. A run that began longer ago is not resumed, finished or not: the next run gets an epoch of its own."""


EXPECTED_SECONDS: Final = 36 * 3600.0
"""A run a night, of which one may take half a day longer than the one before."""


class NightlyStage(StrEnum):
    """What a nightly run does, in this order."""

    BASES = "bases"
    BUILD = "build"
    VERIFY = "verify"
    PUSH = "push"
    REPORT = "report"
    GC = "gc"


_ALWAYS: Final = frozenset({NightlyStage.REPORT, NightlyStage.GC})
"""They are about what the others did, so a resumed run does them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How a stage ended."""

    code: int
    seconds: Seconds

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return self.code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyRun:
    """One nightly run."""

    epoch: str
    """The refresh epoch of everything that it builds."""
    began: float
    """Seconds since 1970."""
    ended: Mapping[NightlyStage, StageResult] = field(default_factory=dict)
    finished: bool = False
    last_good: Moment | None = None
    """When the last run ended of which every stage went well, in seconds since 1970; None: none is known."""
    first: Moment | None = None
    """When the first run on record began; None: this one is the first."""

    @property
    def good(self) -> bool:
        """Whether each stage that was tried went well."""
        return all(stage.good for stage in self.ended.values())

    @property
    def code(self) -> int:
        """Return the exit code of the run: that of the stages that failed, if they agree; else 1."""
        codes = {stage.code for stage in self.ended.values() if not stage.good}
        return codes.pop() if len(codes) == 1 else min(len(codes), 1)

    def after(self, stage: NightlyStage, ended: StageResult) -> "NightlyRun":
        """Return the same run with one more stage done."""
        return replace(self, ended={**self.ended, stage: ended})

    def done(self, *, now: float) -> "NightlyRun":
        """Return the same run at its end, `now` in seconds since 1970."""
        return replace(self, finished=True, last_good=now if self.good else self.last_good)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyHealth:
    """Whether nightly runs succeed as often as they should."""

    last_good: float | None
    """When the last one ended that did, in seconds since 1970."""
    age: float
    """How long ago that is; if there is none, how long ago the first run began. In seconds."""

    @property
    def is_overdue(self) -> bool:
        """Whether none succeeded for longer than expected."""
        return self.age > EXPECTED_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyOptions:
    """What the stages are given."""

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
    workers: str = ""
    """The address of the cluster that builds and verifies; empty: this machine does."""
    certificates: str = ""


def new(text: str, *, epoch: str, now: float) -> NightlyRun:
    """Return a run that begins now, in seconds since 1970, after the one that a record describes, if it does."""
    before = _read(text)
    if before is None:
        return NightlyRun(epoch=epoch, began=now)
    return NightlyRun(epoch=epoch, began=now, last_good=before.last_good, first=_first(before))


def health(text: str, *, now: float) -> NightlyHealth | None:
    """Return how nightly runs do, by the record of the last one; None where there was none. `now` as in `begun`."""
    run = _read(text)
    if run is None:
        return None
    since = _first(run) if run.last_good is None else run.last_good
    return NightlyHealth(last_good=run.last_good, age=max(0.0, now - since))


def _first(run: NightlyRun) -> float:
    """Return when the first run on record began."""
    return run.began if run.first is None else run.first


def begun(text: str, *, now: float) -> NightlyRun | None:
    """Return the run that a record describes, if it is to be resumed; `now` in seconds since 1970."""
    run = _read(text)
    if run is None or run.finished or not 0 <= now - run.began <= LONGEST:
        return None
    return run


def todo(run: NightlyRun, options: NightlyOptions) -> tuple[NightlyStage, ...]:
    """Return the stages to be run, in order: what did not end well is tried again, what is about the others too.

    Base digests are looked up once a run, whatever came of it: one that moves meanwhile would void what was built.
    """
    return tuple(
        stage for stage in NightlyStage if _is_due(stage, run) and (stage is not NightlyStage.PUSH or options.images)
    )


def _is_due(stage: NightlyStage, run: NightlyRun) -> bool:
    if stage in _ALWAYS or stage not in run.ended:
        return True
    return not run.ended[stage].good and stage is not NightlyStage.BASES


def command(stage: NightlyStage, run: NightlyRun, options: NightlyOptions) -> tuple[str, ...]:
    """Return the command of a stage of a run: the one that does it alone."""
    rows = options.rows or ("--matrix",)
    jobs = ("--jobs", options.jobs) if options.jobs else ()
    site = ("--site", options.site) if options.site else ()
    report = ("--report", options.report)
    spread = ("--workers", options.workers) if options.workers else ()
    trusted = ("--certificates", options.certificates) if options.workers and options.certificates else ()
    words: Sequence[str]
    match stage:
        case NightlyStage.BASES:
            words = ("lock", "--bases", "--upgrade", *options.rows, *site)
        case NightlyStage.BUILD:
            push = ["--push"] * (options.nodes or options.images)
            words = ("build", *rows, f"--refresh={run.epoch}", *jobs, *site, *report, *push, *spread, *trusted)
        case NightlyStage.VERIFY:
            words = ("verify", *rows, *jobs, *report, *spread, *trusted)
        case NightlyStage.PUSH:
            words = ("push", *rows, *site, *report, *spread)
        case NightlyStage.REPORT:
            words = ("report", *report)
        case NightlyStage.GC:
            words = ("gc", "--keep", options.keep, *(["--registry", *site] * options.nodes), *spread, *trusted)
    return (*words, "--file", options.file)


def dump(run: NightlyRun) -> str:
    """Write the record of a run."""
    document = {
        "epoch": run.epoch,
        "began": run.began,
        "finished": run.finished,
        "last_good": run.last_good,
        "first": run.first,
        "parts": {stage.value: {"code": ended.code, "seconds": ended.seconds} for stage, ended in run.ended.items()},
    }
    return json.dumps(document, indent=2) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """What .imagematrix/night.json holds."""

    epoch: str
    began: Moment
    finished: bool
    parts: Mapping[NightlyStage, StageResult]
    last_good: Moment | None = None
    first: Moment | None = None


def _read(text: str) -> NightlyRun | None:
    """Read a record; None for one that is damaged."""
    try:
        document = documents.read(text, _Document)
    except DamagedError:
        return None
    run = NightlyRun(
        epoch=document.epoch,
        began=document.began,
        ended=document.parts,
        finished=document.finished,
        last_good=document.last_good,
        first=document.first,
    )
    if run.last_good is None and run.finished and run.good:  # written before records had this
        return replace(run, last_good=run.began + sum(ended.seconds for ended in run.ended.values()))
    return run
