"""What `check` finds: every problem of a project's files and rows in one list, judged; and how that is written."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix import compat
from imagematrix.compat import Cause, Finding, Level, Severity, shown
from imagematrix.errors import InputError, Problem
from imagematrix.matrix import review
from imagematrix.model import Platform, Row, Size
from imagematrix.planning.sizes import total
from imagematrix.project import Opened, Project
from imagematrix.text.locate import locate
from imagematrix.text.words import count, size

_LAYERS_SHOWN: Final = 3
_SIMILAR_SHOWN: Final = 2
_VERSION: Final = re.compile(r"\d[\w.+-]*")
"""What differs in the words of one cause: versions, and names that begin with one."""

_AREAS: Final = (("common/", "template"), ("matrix.lock", "lock"), ("locks/", "lock"), ("compat/", "correction"))
"""Where a problem is that has no code of its own; others are of the matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that `check` has to say: where, how bad, what, what to do, and of which rows."""

    file: str
    """Relative to the project's root."""
    line: int
    """0: the whole file."""
    severity: Severity
    code: str
    """A stable, short name of the check that found it."""
    about: str
    """The axis or fact to blame, if there is one."""
    what: str
    remedy: str
    rows: tuple[str, ...]

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All that there is to say of a project, the worst first."""

    file: str
    is_read: bool
    """Whether the matrix could be read; if not, nothing is known of its rows."""
    rows: int
    """Those that can be had, or do not say that they cannot."""
    families: int
    impossible: int
    """Rows that say that they cannot be had."""
    diagnostics: tuple[Diagnostic, ...]

    @property
    def refused(self) -> frozenset[str]:
        """Rows that cannot be built as they are."""
        return frozenset(row for each in self.of(Level.ERROR) for row in each.rows)

    @property
    def good(self) -> bool:
        """Whether there is no error: what the exit code says too."""
        return not self.of(Level.ERROR)

    def of(self, level: Level) -> tuple[Diagnostic, ...]:
        """Return the diagnostics of a level."""
        return tuple(each for each in self.diagnostics if each.severity.level is level)


def make(opened: Opened) -> Proof:
    """Judge a project as far as it can be read."""
    file = opened.workspace.matrix_file.name
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
        yield from compat.causes(opened.matrix.rows, opened.workspace.matrix_text())


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
    places = locate(project.workspace.matrix_text()) if rows else {}
    for (platform, finding), names in rows.items():
        line = next(places[at][0] for at in review.limit_places(platform) if at in places)
        yield Cause(finding=finding, line=line, rows=tuple(sorted(names)))


def _sizes(project: Project, row: Row) -> Mapping[str, Size]:
    try:
        return project.sizes(row)
    except InputError:  # a template that does not render: whoever renders it tells
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


def proof_text(proof: Proof, *, notes: bool) -> str:
    """Write what is wrong for a reader, errors first, the verdict last; notes only on request."""
    lines = [line for group in groups(proof, notes=notes) for line in _paragraph(group)]
    return "\n".join([*lines, verdict(proof, notes=notes)])


def groups(proof: Proof, *, notes: bool) -> Iterable[Sequence[Diagnostic]]:
    """Return what a reader is shown: each error by itself; what differs in place and versions alone, together."""
    found: dict[tuple[object, ...], list[Diagnostic]] = {}
    for number, each in enumerate(proof.diagnostics):
        if each.severity.level is Level.ERROR:
            found[number,] = [each]
        elif notes or each.severity.level is not Level.NOTE:
            found.setdefault((each.severity, each.file, each.code, _VERSION.sub("N", each.what)), []).append(each)
    return found.values()


def _paragraph(group: Sequence[Diagnostic]) -> Iterator[str]:
    first, others = group[0], group[1:]
    yield f"{first.place}: {first.severity.level}: {first.what} [{first.code}]"
    if first.remedy:
        yield f"    {first.remedy}"
    if first.severity is Severity.BROKEN:
        yield '    to build it all the same, say why in the row: allow = "…"'
    if first.rows:
        yield f"    {shown(first.rows)}"
    if others:
        yield f"    {count(len(others), 'more', 'more')} like this:"
        yield from (f"        {each.place}: {each.what}" for each in others[:_SIMILAR_SHOWN])
        if rest := others[_SIMILAR_SHOWN:]:
            yield f"        … and {len(rest)} more"


def verdict(proof: Proof, *, notes: bool) -> str:
    """Return the last line: whether all is fine, and how much there is to read."""
    parts = [_outcome(proof)]
    if warnings := len(proof.of(Level.WARNING)):
        parts.append(count(warnings, "warning"))
    if found := len(proof.of(Level.NOTE)):
        parts.append(count(found, "note") + ("" if notes else " (--notes shows them)"))
    return f"{proof.file}: {'; '.join(parts)}"


def _outcome(proof: Proof) -> str:
    errors = count(len(proof.of(Level.ERROR)), "error")
    if not proof.is_read:
        return errors
    rows = count(proof.rows, "row")
    if not proof.good:
        return f"{errors}, {len(proof.refused)} of {rows} cannot be built" if proof.refused else errors
    are = "is" if proof.rows == 1 else "are"
    marked = f", {proof.impossible} marked impossible" if proof.impossible else ""
    return f"{rows} of {count(proof.families, 'family', 'families')} {are} fine{marked}"


def proof_json(proof: Proof) -> str:
    """Write the JSON that `invoke check --json` promises: everything, whether notes are asked for or not."""
    document = {
        "file": proof.file,
        "rows": proof.rows if proof.is_read else None,
        "impossible": proof.impossible if proof.is_read else None,
        "good": proof.good,
        "findings": [_document(each) for each in proof.diagnostics],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _document(each: Diagnostic) -> Mapping[str, object]:
    return {
        "severity": str(each.severity),
        "level": str(each.severity.level),
        "code": each.code,
        "file": each.file,
        "line": each.line,
        "about": each.about,
        "what": each.what,
        "remedy": each.remedy,
        "rows": list(each.rows),
    }
