"""Judges a project: every problem of its files and rows in one list."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from imagematrix import __version__, compat
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.errors import InputError
from imagematrix.matrix import review
from imagematrix.model import Destination, Row, Size
from imagematrix.planning.proof import Proof
from imagematrix.planning.sizes import total
from imagematrix.project import Opened, Project
from imagematrix.text.formatting import count, size
from imagematrix.text.locate import locate

_LAYERS_SHOWN: Final = 3


def judge(opened: Opened) -> Proof:
    """Judge a project as far as it can be read."""
    found = [*dict.fromkeys([*opened.diagnostics, *_unrendered(opened)]), *_of_rows(opened)]
    rows = opened.matrix.rows if opened.matrix else ()
    impossible = sum(bool(row.impossible) for row in rows)
    return Proof(
        file=opened.repository.matrix_file.name,
        is_read=opened.matrix is not None,
        rows=len(rows) - impossible,
        families=len(opened.matrix.families) if opened.matrix else 0,
        impossible=impossible,
        diagnostics=_worst_first(found),
    )


def _unrendered(opened: Opened) -> Iterable[Diagnostic]:
    return opened.project.unrendered() if opened.project else ()


def _of_rows(opened: Opened) -> Iterator[Diagnostic]:
    if opened.project:
        yield from opened.project.proof()
        yield from _changed_copies(opened.project)
        yield from _too_big(opened.project)
    elif opened.matrix:
        file = opened.repository.matrix_file.name
        yield from compat.diagnose(opened.matrix.rows, opened.repository.matrix_text(), file=file)


def _changed_copies(project: Project) -> Iterator[Diagnostic]:
    """Yield a note for each layer that was copied from the package, which has changed it since."""
    for layer, version in project.repository.common.copies.changed_upstream().items():
        yield Diagnostic(
            severity=Severity.NOTE,
            about=layer,
            file=f"common/layers/{layer}",
            message=f"was copied from imagematrix {version}, and imagematrix {__version__} has another",
            hint=f"`invoke layers --diff {layer}` shows what changed",
            code="changed_copy",
        )


def _worst_first(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Order what was found; what one command locks comes behind the errors that people mend themselves."""
    order = {severity: at for at, severity in enumerate(Severity)}

    def place(each: Diagnostic) -> tuple[int, bool, int, str, int, str]:
        level = order[each.severity]
        return int(not each.severity.is_error), each.code == "unlocked", level, each.file, each.line, each.message

    return tuple(sorted(found, key=place))


def _too_big(project: Project) -> Iterator[Diagnostic]:
    """Yield a warning for the rows whose Python packages alone are more than their destination takes."""
    rows: dict[tuple[str, Diagnostic], list[str]] = {}
    for row in project.obtainable:
        to = row.destination
        if to and to.max_bytes and (finding := _excess(to, _sizes(project, row))):
            rows.setdefault((to.name, finding), []).append(row.name)
    places = locate(project.repository.matrix_text()) if rows else {}
    for (destination, finding), names in rows.items():
        line = next(places[at][0] for at in review.limit_places(destination) if at in places)
        yield replace(finding, file=project.repository.matrix_file.name, line=line, rows=tuple(sorted(names)))


def _sizes(project: Project, row: Row) -> Mapping[str, Size]:
    try:
        return project.sizes(row)
    except InputError:  # rendering reports a template that does not render
        return {}


def _excess(destination: Destination, of_layers: Mapping[str, Size]) -> Diagnostic | None:
    whole = total(of_layers.values())
    if whole.installed <= destination.max_bytes:
        return None
    biggest = sorted(of_layers, key=lambda layer: -of_layers[layer].installed)[:_LAYERS_SHOWN]
    unknown = f", {count(whole.unknown, 'file')} of unknown size" if whole.unknown else ""
    return Diagnostic(
        severity=Severity.UNKNOWN,
        about="max_size",
        message=f"destination {destination.name} takes images of at most {size(destination.max_bytes)},"
        f" and the Python packages alone are about {size(whole.installed)}",
        hint=f"{', '.join(f'{layer} {size(of_layers[layer].installed)}' for layer in biggest)};"
        f" not counted: the base, what apt installs{unknown}",
        code="max_size",
    )
