"""Rows get their tags: the family's pattern filled with each row's values, every tag for one row only."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.matrix.grid import Cell, Grid
from imagematrix.model import Base, Row
from imagematrix.text import names
from imagematrix.text.shape import Mistakes

_NAME: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOT_IN_TAGS: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(slots=True, kw_only=True)
class _Example:
    """A mistake that many rows share: told once, with the first row that has it and a count."""

    what: str
    hint: str
    rows: int = 0


class _Tags:
    """Fills one family's pattern, and notes what is wrong with the tags that come out."""

    def __init__(self, grid: Grid, mistakes: Mistakes) -> None:
        self._grid = grid
        self._pattern = grid.declared.family.tag
        self._at = (*grid.declared.at, "tag")
        self._mistakes = mistakes
        self._first: dict[str, Cell] = {}
        self._examples: dict[tuple[str, ...], _Example] = {}

    def is_usable(self) -> bool:
        """Whether the pattern is well-formed and names only what the family's rows have."""
        unknown = [name for name in _NAME.findall(self._pattern) if name not in self._grid.known]
        for name in unknown:
            if not self._grid.may_be(name):
                self._mistakes.add(self._at, f"unknown name {{{name}}}", did_you_mean(name, self._grid.known))
        is_formed = not re.search(r"[{}]", _NAME.sub("", self._pattern))
        if not is_formed:
            hint = "a pattern is text with {name} of an axis or fact, nothing else in braces"
            self._mistakes.add(self._at, f"the braces of {self._pattern!r} are wrong", hint)
        return bool(self._pattern) and is_formed and not unknown

    def fill(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, str]]:
        """Yield each row with its tag."""
        fill, first, is_tag = self._pattern.format_map, self._first, names.is_tag
        for cell in cells:
            try:
                tag = fill(cell.values)
            except KeyError as error:
                self._note_missing(cell, str(error.args[0]))
                continue
            if not is_tag(tag):
                self._note_unfit(cell, tag)
            elif first.setdefault(tag, cell) is not cell:
                self._note_shared(cell, tag)
            yield cell, tag

    def note(self) -> None:
        """Note what was found, each cause once."""
        for example in self._examples.values():
            more = f", and {example.rows - 1} more like it" if example.rows > 1 else ""
            self._mistakes.add(self._at, example.what + more, example.hint)

    def _note_missing(self, cell: Cell, name: str) -> None:
        hint = f"give every row a {name}, as an axis or by facts"
        self._count(("missing", name), f"a row has no {name}: {_shown(cell)}", hint)

    def _note_unfit(self, cell: Cell, tag: str) -> None:
        causes = sorted(set(_NOT_IN_TAGS.findall(tag))) or ["length or first character"]
        self._count(("unfit", *causes), f"docker accepts no tag {tag!r}: {_shown(cell)}", names.TAG_RULE)

    def _note_shared(self, cell: Cell, tag: str) -> None:
        other = self._first[tag]
        differing = [
            part.axis for part, its in zip(cell.combination, other.combination, strict=True) if part is not its
        ]
        what = f"two rows have the tag {tag!r}: {_shown(other)} and {_shown(cell)}"
        self._count(("shared", *differing), what, f"put {{{differing[0]}}} into the tag")

    def _count(self, cause: tuple[str, ...], what: str, hint: str) -> None:
        example = self._examples.setdefault(cause, _Example(what=what, hint=hint))
        example.rows += 1


def _shown(cell: Cell) -> str:
    return ", ".join(f"{part.axis}={part.value}" for part in cell.combination)


def rows(
    grid: Grid,
    cells: Iterable[Cell],
    *,
    bases: Mapping[str, Base],
    registry: str,
    mistakes: Mistakes,
) -> Iterator[Row]:
    """Yield the rows of one family; tags that are shared or that docker does not accept are noted."""
    tags = _Tags(grid, mistakes)
    if not tags.is_usable():
        return
    family = grid.declared.family
    name = f"{registry}/{family.name}:" if registry else f"{family.name}:"
    for cell, tag in tags.fill(cells):
        yield Row(
            family=family,
            base=bases[cell.values["base"]],
            tag=tag,
            axes={part.axis: part.value for part in cell.combination},
            values=cell.values,
            image=name + tag,
            allow=cell.allow,
            places=grid.places(cell),
            origins=tuple(part.origins for part in cell.combination),
        )
    tags.note()
