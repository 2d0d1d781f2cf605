"""What keeps rows from being rendered: each problem once, at its line, with all the rows that have it."""

from dataclasses import replace

from imagematrix.diagnostics import Diagnostic
from imagematrix.model import Place, Row
from imagematrix.text.locate import line_of, locate


class RowProblems:
    """Collects the problems of rows."""

    def __init__(self) -> None:
        self._found: dict[Diagnostic, tuple[Row, list[str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, problem: Diagnostic, row: Row) -> None:
        """Note a problem that rendering a row raised; one that names no row is not of the row alone."""
        _, names = self._found.setdefault(replace(problem, rows=()), (row, []))
        names += [row.name] if problem.rows else []

    def placed(self, text: str, *, file: str) -> tuple[Diagnostic, ...]:
        """Return them; what no file of a person has to itself is placed in the text of the matrix, at its first row."""
        places = locate(text) if any(not problem.file for problem in self._found) else {}
        return tuple(
            replace(
                problem,
                rows=tuple(sorted(names)),
                file=problem.file or file,
                line=problem.line if problem.file else line_of(_place(problem, row), places),
            )
            for problem, (row, names) in self._found.items()
        )


def _place(problem: Diagnostic, row: Row) -> Place:
    """Return where the matrix names the layer, or has the fact, that a problem is about."""
    if problem.about in row.family.layers:
        return ("families", row.family.name, "layers", row.family.layers.index(problem.about))
    return row.place(problem.about) or row.place("base")
