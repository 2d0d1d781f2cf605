"""Rows that are not written: what a family's row with any values would be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from imagematrix import audit
from imagematrix.matrix import declaration, tagging
from imagematrix.matrix.grid import Declared, Grid, HandRow
from imagematrix.model import NamingRule, Row
from imagematrix.text import toml_text
from imagematrix.text.shape import Mistakes, Table


class RowFactory:
    """Makes rows of one family of a matrix that has been parsed before."""

    def __init__(
        self,
        text: str,
        family: str,
        *,
        layers: Mapping[str, bool],
        naming: Mapping[str, NamingRule] = MappingProxyType({}),
        file: str = "matrix.toml",
    ) -> None:
        self._naming = naming
        self._text = text.removeprefix("\ufeff")
        self._file = file
        ignored = Mistakes("matrix")
        document = Table(toml_text.read(self._text, file=file), (), ignored)
        self._document = declaration.read(document, layers=layers, rules=audit.stock(), naming=naming, mistakes=ignored)
        # What follows from a value that no row has yet may contradict itself: adding such a row reports it.
        self._facts = declaration.facts(self._document, ignored)
        self._family = next(each for each in self._document.families if each.family.name == family)

    @property
    def axes(self) -> tuple[str, ...]:
        """The family's axes, sorted."""
        return tuple(self._family.axes)

    def known(self, axis: str) -> tuple[str, ...]:
        """Return the values that the matrix knows for an axis: those of the family, of its facts, and all bases."""
        values = {*self._family.axes[axis], *(row.values[axis] for row in self._family.rows)}
        values |= {value for name, value in self._document.facts if name == axis}
        return tuple(sorted(values | self._document.bases.keys() if axis == "base" else values))

    def listed(self, axis: str) -> tuple[str, ...]:
        """Return the values that the axis has by itself, without those of rows written by hand."""
        return tuple(self._family.axes[axis])

    def facts_of(self, axis: str, value: str) -> Mapping[str, str]:
        """Return what the matrix says of a value itself."""
        return {fact.name: fact.value for fact in self._document.facts.get((axis, value), ())}

    def preset(self) -> Mapping[str, str]:
        """Return what a row need not say: the base that the family names for all of them."""
        found = self._family.axes.get("base", {})
        base = next((base for base, at in found.items() if at == (*self._family.at, "base")), "")
        return {"base": base} if base else {}

    @property
    def platforms(self) -> tuple[str, ...]:
        """The Docker platforms of the family's rows that name none."""
        return tuple(self._family.platforms)

    def row(
        self, values: Mapping[str, str], *, facts: Mapping[str, str], allow: str = "", platforms: Sequence[str] = ()
    ) -> Row | None:
        """Return the row with these values, by axis, and own facts; nothing where the matrix does not let it be.

        Of those for several Docker platforms it is that for the first.
        """
        rows = self.rows(values, facts=facts, allow=allow, platforms=platforms)
        return rows[0] if rows else None

    def rows(
        self, values: Mapping[str, str], *, facts: Mapping[str, str], allow: str = "", platforms: Sequence[str] = ()
    ) -> tuple[Row, ...]:
        """Return the rows with these values, one for each Docker platform; none where the matrix forbids one."""
        mistakes = Mistakes("matrix")
        rows = self._rows(values, facts, allow, platforms, mistakes)
        return () if mistakes else rows

    def proven(
        self, values: Mapping[str, str], *, facts: Mapping[str, str], allow: str = "", platforms: Sequence[str] = ()
    ) -> tuple[Row, ...]:
        """Return the rows with these values, one for each Docker platform. Raises InputError with every problem."""
        mistakes = Mistakes("matrix")
        rows = self._rows(values, facts, allow, platforms, mistakes)
        mistakes.raise_any(self._text, file=self._file)
        return rows

    def _rows(
        self,
        values: Mapping[str, str],
        facts: Mapping[str, str],
        allow: str,
        platforms: Sequence[str],
        mistakes: Mistakes,
    ) -> tuple[Row, ...]:
        at = (*self._family.at, "row")
        named = dict.fromkeys(platforms, (*at, "platforms"))
        row = HandRow(at=at, values=values, facts=facts, allow=allow, platforms=named)
        grid = Grid(_only(row, self._family), self._facts, mistakes)
        return tuple(
            tagging.rows(
                grid,
                grid.cells(),
                bases=self._document.bases,
                registries=self._document.registries,
                prefix=self._document.prefix,
                main_platform=self._document.platforms[0],
                naming=self._naming,
                mistakes=mistakes,
            )
        )


def _only(row: HandRow, family: Declared) -> Declared:
    """Return a family of this row alone: of all others nothing is known, so no rule is idle for lack of them."""
    axes: dict[str, dict[str, tuple[str | int, ...]]] = {axis: {} for axis in family.axes}
    return replace(family, axes=axes, rows=(row,), doubted=frozenset(axes), whole=False, drafted=True)
