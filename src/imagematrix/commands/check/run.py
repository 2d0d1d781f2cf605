"""Judges a project: every problem of its files and rows in one list."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from imagematrix import compat
from imagematrix.compat import Cause, Finding, Severity
from imagematrix.errors import InputError, Problem
from imagematrix.matrix import review
from imagematrix.model import Platform, Row, Size
from imagematrix.planning.proof import Diagnostic, Proof
from imagematrix.planning.sizes import total
from imagematrix.project import Opened, Project
from imagematrix.text.formatting import count, size
from imagematrix.text.locate import locate

_LAYERS_SHOWN: Final = 3

_AREAS: Final = (("common/", "template"), ("matrix.lock", "lock"), ("locks/", "lock"), ("compat/", "correction"))
"""Where a problem is that has no code of its own; others are of the matrix."""


def judge(opened: Opened) -> Proof:
    """Judge a project as far as it can be read."""
    file = opened.repository.matrix_file.name
    problems, causes = [*opened.problems], [*_causes(opened)]
    if opened.project:
        problems += opened.project.unrendered()
    found = [
        *(_of_problem(each, file) for each in dict.fromkeys(problems)),
        *(_of_cause(each, file) for each in causes),
    ]
    rows = opened.matrix.rows if opened.matrix else ()
    impossible = sum(bool(row.impossible) for row in rows)
    return Proof(
        file=file,
        is_read=opened.matrix is not None,
        rows=len(rows) - impossible,
        families=len(opened.matrix.families) if opened.matrix else 0,
        impossible=impossible,
        diagnostics=_worst_first(found),
    )


def _causes(opened: Opened) -> Iterator[Cause]:
    if opened.project:
        yield from opened.project.proof()
        yield from _too_big(opened.project)
    elif opened.matrix:
        yield from compat.causes(opened.matrix.rows, opened.repository.matrix_text())


def _of_problem(problem: Problem, file: str) -> Diagnostic:
    code = next((code for area, code in _AREAS if problem.file.startswith(area) and problem.file != file), "matrix")
    return Diagnostic(
        file=problem.file,
        line=problem.line,
        severity=Severity.ERROR,
        code=problem.code or code,
        about="",
        what=problem.what,
        remedy=problem.hint,
        rows=problem.rows,
    )


def _of_cause(cause: Cause, file: str) -> Diagnostic:
    finding = cause.finding
    return Diagnostic(
        file=cause.file or file,
        line=cause.line,
        severity=finding.severity,
        code=finding.code,
        about=finding.about,
        what=finding.what,
        remedy=finding.remedy,
        rows=cause.rows,
    )


def _worst_first(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    order = {severity: at for at, severity in enumerate(Severity)}
    return tuple(sorted(found, key=lambda each: (order[each.severity], each.file, each.line, each.what)))


def _too_big(project: Project) -> Iterator[Cause]:
    """Yield a warning for the rows whose Python packages alone are more than their platform takes."""
    rows: dict[tuple[str, Finding], list[str]] = {}
    for row in project.obtainable:
        if row.platform and row.platform.max_bytes and (finding := _excess(row.platform, _sizes(project, row))):
            rows.setdefault((row.platform.name, finding), []).append(row.name)
    places = locate(project.repository.matrix_text()) if rows else {}
    for (platform, finding), names in rows.items():
        line = next(places[at][0] for at in review.limit_places(platform) if at in places)
        yield Cause(finding=finding, line=line, rows=tuple(sorted(names)))


def _sizes(project: Project, row: Row) -> Mapping[str, Size]:
    try:
        return project.sizes(row)
    except InputError:  # rendering reports a template that does not render
        return {}


def _excess(platform: Platform, of_layers: Mapping[str, Size]) -> Finding | None:
    whole = total(of_layers.values())
    if whole.installed <= platform.max_bytes:
        return None
    biggest = sorted(of_layers, key=lambda layer: -of_layers[layer].installed)[:_LAYERS_SHOWN]
    unknown = f", {count(whole.unknown, 'file')} of unknown size" if whole.unknown else ""
    return Finding(
        severity=Severity.UNKNOWN,
        about="max_size",
        what=f"platform {platform.name} takes images of at most {size(platform.max_bytes)},"
        f" and the Python packages alone are about {size(whole.installed)}",
        remedy=f"{', '.join(f'{layer} {size(of_layers[layer].installed)}' for layer in biggest)};"
        f" not counted: the base, what apt installs{unknown}",
        code="max_size",
    )
