"""What `check` tells: which rows cannot be built, what else is known of their versions."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.compat import Cause, Finding, Severity, shown
from imagematrix.errors import InputError
from imagematrix.model import Platform, Row, Size
from imagematrix.planning.sizes import total
from imagematrix.project import Project
from imagematrix.text.locate import locate
from imagematrix.text.words import count, size

_WORDS: Final[Mapping[Severity, str]] = {
    Severity.IMPOSSIBLE: "",
    Severity.BROKEN: "",
    Severity.UNKNOWN: "warning: ",
    Severity.NOTE: "note: ",
}

_LAYERS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All causes of all rows of a matrix."""

    file: str
    rows: int
    """Those that can be had, or do not say that they cannot."""
    families: int
    impossible: int
    """Rows that say that they cannot be had."""
    causes: tuple[Cause, ...]

    @property
    def refused(self) -> frozenset[str]:
        """Rows that cannot be built as they are."""
        return frozenset(row for cause in self.causes if cause.finding.severity.is_error for row in cause.rows)

    @property
    def good(self) -> bool:
        """Whether no row is refused."""
        return not self.refused


def make(project: Project) -> Proof:
    """Judge all rows of a project."""
    return Proof(
        file=project.workspace.matrix_file.name,
        rows=len(project.obtainable),
        families=len(project.matrix.families),
        impossible=len(project.matrix.rows) - len(project.obtainable),
        causes=_worst_first([*project.proof(), *_too_big(project)]),
    )


def _worst_first(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    order = list(Severity)
    return tuple(sorted(causes, key=lambda cause: order.index(cause.finding.severity)))


def _too_big(project: Project) -> Iterator[Cause]:
    """Yield a warning for the rows whose Python packages alone are more than their platform takes."""
    rows: dict[tuple[str, Finding], list[str]] = {}
    for row in project.obtainable:
        if row.platform and row.platform.max_bytes and (finding := _excess(row.platform, _sizes(project, row))):
            rows.setdefault((row.platform.name, finding), []).append(row.name)
    places = locate(project.workspace.matrix_text()) if rows else {}
    for (platform, finding), names in rows.items():
        line = places[("platforms", platform, finding.about)][0]
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
    )


def proof_text(proof: Proof) -> str:
    """Write a line for each cause and the rows that have it, and how many rows are fine."""
    lines = [line for cause in proof.causes for line in _lines(cause, proof.file)]
    if proof.good:
        families = count(proof.families, "family", "families")
        are = "is" if proof.rows == 1 else "are"
        end = f"{proof.file}: {count(proof.rows, 'row')} of {families} {are} fine"
        end += f", {proof.impossible} cannot be had" if proof.impossible else ""
    else:
        end = f"{proof.file}: {len(proof.refused)} of {count(proof.rows, 'row')} cannot be built"
    return "\n".join([*lines, end])


def _lines(cause: Cause, file: str) -> tuple[str, ...]:
    place = f"{file}:{cause.line}" if cause.line else file
    hint = "; broken upstream: a row that must be so says why, allow = …" if _is_broken(cause) else ""
    return f"{place}: {_WORDS[cause.finding.severity]}{cause.finding}", f"    {shown(cause.rows)}{hint}"


def _is_broken(cause: Cause) -> bool:
    return cause.finding.severity is Severity.BROKEN


def proof_json(proof: Proof) -> str:
    """Write the JSON that `invoke check --json` promises."""
    document = {
        "file": proof.file,
        "rows": proof.rows,
        "impossible": proof.impossible,
        "good": proof.good,
        "findings": [_document(cause) for cause in proof.causes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _document(cause: Cause) -> Mapping[str, object]:
    finding = cause.finding
    return {
        "severity": str(finding.severity),
        "line": cause.line,
        "about": finding.about,
        "what": finding.what,
        "remedy": finding.remedy,
        "rows": list(cause.rows),
    }
