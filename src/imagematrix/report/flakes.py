"""Tries that failed in passing: those of one run by cause, and how often each source flaked in many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from imagematrix.report.document import RetryEntry
from imagematrix.report.runs import PastRun


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyTry:
    """A try of this run that failed in passing."""

    what: str
    """What was tried: a node, its push, a tag."""
    retry: RetryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyCause:
    """Tries of this run that failed in passing for one reason, at one source."""

    source: str
    kind: str
    why: str
    """Of the first of them; versions and numbers in the others may differ."""
    tries: int
    whats: tuple[str, ...]
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """How often a source flaked lately."""

    source: str
    kind: str
    tries: int
    runs: int
    """In how many runs."""
    waited: float
    """Seconds that builds were put off for it."""
    last: datetime


def causes(flakes: Iterable[FlakyTry]) -> tuple[FlakyCause, ...]:
    """Group flakes by source and kind, those that cost most tries first."""
    found: dict[tuple[str, str], list[FlakyTry]] = {}
    for each in flakes:
        found.setdefault((each.retry.source, each.retry.kind), []).append(each)
    causes = (
        FlakyCause(
            source=source,
            kind=kind,
            why=tries[0].retry.why,
            tries=len(tries),
            whats=tuple(dict.fromkeys(each.what for each in tries)),
            waited=sum(each.retry.waited for each in tries),
        )
        for (source, kind), tries in found.items()
    )
    return tuple(sorted(causes, key=lambda cause: -cause.tries))


def ledger(runs: Sequence[PastRun]) -> tuple[LedgerLine, ...]:
    """Count the flakes of runs by source and kind, the most frequent first."""
    found: dict[tuple[str, str], list[tuple[PastRun, RetryEntry]]] = {}
    for run in runs:
        for _, retry in run.retries:
            found.setdefault((retry.source, retry.kind), []).append((run, retry))
    lines = [
        LedgerLine(
            source=source,
            kind=kind,
            tries=len(each),
            runs=len({run.started for run, _ in each}),
            waited=sum(retry.waited for _, retry in each),
            last=max(run.started for run, _ in each),
        )
        for (source, kind), each in found.items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.tries, line.source, line.kind)))
