"""What is known of many rows: each thing once, with the line of matrix.toml to blame and all rows that have it."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from imagematrix.compat import catalogue, rules
from imagematrix.compat.platforms import Twins
from imagematrix.compat.rules import Told, findings, nothing
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.model import Place, Row
from imagematrix.text.locate import line_of, locate

_ORDER = tuple(Severity)


def diagnose(
    rows: Iterable[Row],
    text: str,
    *,
    file: str,
    also: Callable[[Row], Iterable[Diagnostic]] = lambda _: (),
    locked: Told = nothing,
    demands: Told = nothing,
) -> tuple[Diagnostic, ...]:
    """Return what is found in rows of a matrix text, by rules and by `also`: the worst first, then by line.

    `locked` returns what the locks of a row hold (package -> version), `demands` what its layers use of its base.
    """
    rows = tuple(rows)
    found: dict[tuple[Diagnostic, Place], list[Row]] = {}
    judge = _judge(locked, demands)
    for row in rows:
        for finding in (*judge(row), *also(row)):
            found.setdefault((finding, row.place(finding.about)), []).append(row)
    places, twins = locate(text) if found else {}, Twins(rows)
    placed = [
        replace(
            finding,
            hint=twins.remedy(finding, place, having),
            file=file,
            line=line_of(place, places),
            rows=tuple(sorted(row.name for row in having)),
        )
        for (finding, place), having in found.items()
    ]
    return tuple(sorted(placed, key=lambda each: (_ORDER.index(each.severity), each.line, str(each))))


def _judge(locked: Told, demands: Told) -> Callable[[Row], tuple[Diagnostic, ...]]:
    """Return a function that judges rows; rows that are equal in everything relevant are judged once."""
    known: dict[Hashable, tuple[Diagnostic, ...]] = {}

    def judge(row: Row) -> tuple[Diagnostic, ...]:
        held, taken = locked(row), demands(row)
        subject = (rules.subject(row), tuple(held.items()), tuple(taken.items()))
        found = known.get(subject)
        if found is None:
            found = known[subject] = findings(row, held, demands=taken)
        return found

    return judge


def idle(rows: Iterable[Row], *, locked: Told = nothing, demands: Told = nothing) -> tuple[Diagnostic, ...]:
    """Return the corrections of the catalogue that change nothing of these rows, each at its line."""
    return (
        *catalogue.idle(),
        *(
            Diagnostic(
                severity=Severity.UNKNOWN,
                code="unused_correction",
                file=each.file,
                line=each.line,
                message="no row that this allow covers is broken",
                hint="correct it or remove it",
            )
            for each in rules.unneeded(rows, locked, demands)
        ),
    )
