"""Findings of many rows, each cause once, with the line of matrix.toml to blame."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace

from imagematrix.compat import catalogue, rules
from imagematrix.compat.finding import Finding, Severity, unknown
from imagematrix.compat.rules import Told, findings, nothing
from imagematrix.errors import Problem
from imagematrix.model import Place, Row
from imagematrix.text.locate import locate

_ORDER = tuple(Severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One finding at one place, and all rows that have it."""

    finding: Finding
    line: int
    """0: not known."""
    rows: tuple[str, ...]
    """Names, sorted."""
    file: str = ""
    """Relative to the project's root; empty: the matrix file."""


def causes(
    rows: Iterable[Row],
    text: str,
    *,
    also: Callable[[Row], Iterable[Finding]] = lambda _: (),
    locked: Told = nothing,
    demands: Told = nothing,
) -> tuple[Cause, ...]:
    """Return what is found in rows of a matrix text, by rules and by `also`: the worst first, then by line.

    `locked` returns what the locks of a row hold (package -> version), `demands` what its layers use of its base.
    """
    found: dict[tuple[Finding, Place], list[str]] = {}
    judge = _judge(locked, demands)
    for row in rows:
        name = row.name  # one text for everything found in the row
        for finding in (*judge(row), *also(row)):
            found.setdefault((finding, row.place(finding.about)), []).append(name)
    places = locate(text) if found else {}
    made = [
        Cause(finding=finding, line=_line(place, places), rows=tuple(sorted(names)))
        for (finding, place), names in found.items()
    ]
    return tuple(sorted(made, key=lambda cause: (_ORDER.index(cause.finding.severity), cause.line, str(cause.finding))))


def _judge(locked: Told, demands: Told) -> Callable[[Row], tuple[Finding, ...]]:
    """Return a function that judges rows; rows that are equal in everything relevant are judged once."""
    known: dict[Hashable, tuple[Finding, ...]] = {}

    def judge(row: Row) -> tuple[Finding, ...]:
        held, taken = locked(row), demands(row)
        subject = (rules.subject(row), tuple(held.items()), tuple(taken.items()))
        found = known.get(subject)
        if found is None:
            found = known[subject] = findings(row, held, demands=taken)
        return found

    return judge


def idle(rows: Iterable[Row], *, locked: Told = nothing, demands: Told = nothing) -> tuple[Cause, ...]:
    """Return the corrections of the catalogue that change nothing of these rows, each at its line."""
    entries = [(each.file, each.line, each.what, each.hint) for each in catalogue.idle()]
    unneeded = "no row that this allow covers is broken"
    allowances = [
        (each.file, each.line, unneeded, "correct it or remove it") for each in rules.unneeded(rows, locked, demands)
    ]
    return tuple(
        Cause(finding=replace(unknown("", what, remedy), code="unused_correction"), line=line, rows=(), file=file)
        for file, line, what, remedy in (*entries, *allowances)
    )


def _line(place: Place, places: "dict[Place, tuple[int, int]]") -> int:
    """Return the line of a place, or of the nearest table around it."""
    while place and place not in places:
        place = place[:-1]
    return places[place][0] if place else 0


def problems(found: Iterable[Cause], *, file: str, severities: Iterable[Severity]) -> tuple[Problem, ...]:
    """Return the causes of some severities as problems."""
    wanted = set(severities)
    return tuple(
        Problem(file=file, line=cause.line, what=str(cause.finding), hint=shown(cause.rows))
        for cause in found
        if cause.finding.severity in wanted
    )


def shown(rows: tuple[str, ...]) -> str:
    """Return row names in short."""
    return rows[0] + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
