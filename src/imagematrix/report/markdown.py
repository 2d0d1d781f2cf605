"""An overview in, a page for a chat or a CI system out: short, what broke first."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from typing import Final

from imagematrix.report.console.nightly import health_text
from imagematrix.report.overview import Broken, BrokenCheck, Overview
from imagematrix.text.formatting import abbreviate, ages, count, duration, growth

_LINES: Final = 20
"""How long a table may get."""
_NAMES_SHOWN: Final = 3
_TAIL_LINES: Final = 8


def summary(overview: Overview) -> str:
    """Write Markdown as GitHub and GitLab show it."""
    parts = [
        _head(overview),
        *_overdue(overview),
        *_broken(overview),
        *_untried(overview),
        *_ledger(overview),
        *_changes(overview),
        *_drifted(overview),
    ]
    return "\n\n".join([*parts, *_outdated(overview)]) + "\n"


def headline(overview: Overview) -> str:
    """Say in one line how a run ended: `3 images: 2 built, 1 failed; 40 checks: 39 passed, 1 failed; 12m 03s`."""
    parts = []
    if overview.outcomes:
        parts.append(f"{count(sum(overview.outcomes.values()), 'image')}: {_tally(overview.outcomes.items())}")
    if overview.check_outcomes:
        number = sum(overview.check_outcomes.values())
        parts.append(f"{count(number, 'check')}: {_tally(overview.check_outcomes.items())}")
    return "; ".join([*parts, duration(overview.run.seconds)])


def _tally(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts))


def _head(overview: Overview) -> str:
    mark = "✅" if overview.good else "❌"
    return f"## {mark} imagematrix, {overview.run.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC\n\n{headline(overview)}"


def _broken(overview: Overview) -> Iterator[str]:
    rows = [
        *(
            (_code(each.node.label), _code(each.node.why), _since(each), _images(each.blocks))
            for each in overview.broken
        ),
        *(
            (_code(f"{each.check.owner}: {each.check.name}"), _code(each.check.why), _since(each), _images(each.leaves))
            for each in overview.broken_checks
        ),
    ]
    rows += [
        (f"{count(len(each.names), 'name')} not published", _code(each.why), "", _images(each.leaves))
        for each in overview.unpublished
    ]
    if rows:
        yield _table("Broken", ("what", "why", "since", "images"), rows)
    tails = [
        *((each.node.tail, each.repeat) for each in overview.broken),
        *((each.check.tail, each.repeat) for each in overview.broken_checks),
    ]
    for tail, repeat in tails[:_NAMES_SHOWN]:
        yield _block([*tail[-_TAIL_LINES:], "", f"# repeat: {overview.typed}{repeat}"])


def _since(broken: Broken | BrokenCheck) -> str:
    return "new" if broken.runs == 1 else f"{broken.since.astimezone(UTC):%Y-%m-%d}, {broken.runs} runs"


def _images(names: Sequence[str]) -> str:
    return f"{len(names)}: {_code(abbreviate(names, _NAMES_SHOWN))}" if names else "0"


def _untried(overview: Overview) -> Iterator[str]:
    if overview.untried:
        rows = [(_code(each.why or "not tried"), _images(each.leaves)) for each in overview.untried]
        yield _table("Skipped", ("why", "images"), rows)


def _ledger(overview: Overview) -> Iterator[str]:
    if overview.ledger:
        rows = [
            (_code(line.source or "not known"), line.kind, str(line.tries), str(line.runs)) for line in overview.ledger
        ]
        heading = f"Flakes of the last {count(overview.ledger_runs, 'run')}"
        yield _table(heading, ("source", "kind", "tries lost", "runs"), rows)


def _changes(overview: Overview) -> Iterator[str]:
    if overview.changes:
        rows = [
            (_code(each.what), _code(each.old or "new"), _code(each.new or "gone"), str(len(each.leaves)))
            for each in overview.changes
        ]
        yield _table("Versions that changed", ("what", "from", "to", "images"), rows)
    grown = sum(overview.growth.values())
    if grown:
        yield f"All images together: {growth(grown)} since the last run."


def _drifted(overview: Overview) -> Iterator[str]:
    if overview.drifted:
        rows = [
            (_code(node.label), _code(abbreviate(node.drifted, _NAMES_SHOWN)), str(len(node.leaves)))
            for node in overview.drifted
        ]
        yield _table("Other packages than locked", ("node", "packages", "images"), rows)
        yield f"The mirror no longer has what `locks/apt` names: `{overview.typed}lock --bases --upgrade` asks again."


def _overdue(overview: Overview) -> Iterator[str]:
    if overview.overdue:
        yield f"⚠️ Nightly runs are overdue: {health_text(overview.overdue)}."


def _outdated(overview: Overview) -> Iterator[str]:
    if overview.outdated:
        yield f"⚠️ Old facts in the catalogue of versions: {ages(overview.outdated)}. Upgrade imagematrix."


def _table(heading: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    more = [f"\n… and {len(rows) - _LINES} more: see index.html"] if len(rows) > _LINES else []
    lines = [names, ["---"] * len(names), *rows[:_LINES]]
    return "\n".join([f"### {heading}\n", *(f"| {' | '.join(line)} |" for line in lines), *more])


def _code(text: str) -> str:
    """Write any text so that Markdown shows it as it is, in a table's cell."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = _fence("`", line)
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`" if line else ""


def _block(lines: Sequence[str]) -> str:
    """Write lines as a block of code that none of them can end."""
    fence = "~~~" + _fence("~", "\n".join(lines))
    return "\n".join([fence, *lines, fence])


def _fence(letter: str, text: str) -> str:
    """Return more of a letter than a text has in a row."""
    return letter * (1 + max((len(run) for run in re.findall(f"{letter}+", text)), default=0))
