"""What would work in the place of a row that does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from imagematrix.compat import nearest
from imagematrix.diagnostics import Diagnostic, Severity
from imagematrix.matrix import RowFactory
from imagematrix.model import Matrix, Row
from imagematrix.planning.addition.facts import missing_facts
from imagematrix.planning.addition.request import ALLOW, RowRequest
from imagematrix.planning.render import Renderer

_VERDICTS: Final = {Severity.IMPOSSIBLE: "cannot be built", Severity.BROKEN: "is known to be broken"}


class Alternatives:
    """What would work in place of an impossible row: commands, and the nearest existing row."""

    def __init__(
        self,
        request: RowRequest,
        siblings: Sequence[Row],
        factory: RowFactory,
        renderer: Renderer,
        *,
        gone: frozenset[str],
    ) -> None:
        self._request = request
        self._gone = gone
        self._factory = factory
        self._siblings = siblings
        self._renderer = renderer
        self._there = {tuple(row.axes.items()) for row in siblings} | {row.tag for row in siblings}

    def told(self, mended: str = "") -> str:
        """Return what would work, first the command that mends the row itself."""
        values = self._request.values
        known = {axis: set(self._factory.known(axis)) - (self._gone if axis == "base" else set()) for axis in values}
        found = nearest.offers(values, known, self._row, self._has_all)
        commands = [*filter(None, [mended]), *(self._request.command(row.axes) for row in found)]
        lines = ["nothing was written; this would work:"] if commands else ["nothing was written"]
        lines += [f"    {command}" for command in commands]
        near = nearest.existing(values, (each for each in self._siblings if is_good(each, self._renderer)))
        lines += [f"the nearest existing row: {near.name}"] if near else []
        return "".join(f"\n    {line}" for line in lines)

    def _row(self, values: Mapping[str, str]) -> Row | None:
        row = self._factory.row(values, facts=self._request.own, platforms=self._request.platforms)
        is_new = row and tuple(row.axes.items()) not in self._there and row.tag not in self._there
        return row if is_new else None

    def _has_all(self, row: Row) -> bool:
        rows = self._factory.rows(row.axes, facts=self._request.own, platforms=self._request.platforms)
        whole = (replace(each, values={**each.values, **self._facts(each)}) for each in rows)
        return all(is_good(each, self._renderer) for each in whole)

    def _facts(self, row: Row) -> Mapping[str, str]:
        """Return what the catalogue says of new values, which the command may say too."""
        read = self._renderer.reads(row.family.layers)
        missing = (each for each in missing_facts(row, self._siblings) if each.proposal and each.name in read)
        return {each.name: each.proposal for each in missing if each.name not in self._request.declined}


def is_good(row: Row, renderer: Renderer) -> bool:
    """Whether check would have nothing against a row: no rule, and no template of its layers."""
    is_broken = any(finding.severity.is_error for finding in renderer.findings(row))
    return not row.impossible and not is_broken and renderer.suits(row)


def refusal(request: RowRequest, errors: Sequence[Diagnostic], alternatives: str) -> str:
    lines = [f"{request} {_VERDICTS[errors[0].severity]}: {errors[0]}"]
    lines += [f"    and {_VERDICTS[finding.severity]}: {finding}" for finding in errors[1:]]
    told = "\n".join(lines) + alternatives
    if all(finding.severity is Severity.BROKEN for finding in errors):
        told += f'\n    to build it anyway, say why: {request.command()} {ALLOW}="…"'
    return told


def unavailable_bases(matrix: Matrix) -> frozenset[str]:
    """Return the bases of which all rows are impossible: they are never suggested."""
    used = {row.base.name for row in matrix.rows}
    return frozenset(used - {row.base.name for row in matrix.rows if not row.impossible})
