"""Rows get their names: the patterns of tag, base and registry filled with each row's values; a tag is of one row."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from imagematrix.matrix.grid import Cell, Grid
from imagematrix.matrix.pattern import Pattern, Purpose, has_names, shown
from imagematrix.model import LATEST, Base, NamingRule, Row
from imagematrix.text import names, platforms, providers
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

_TAG: Final = Purpose(fits=names.is_tag, refusal="docker accepts no tag", hint=names.TAG_RULE)
_REFUSAL: Final = "no registry accepts the name"
_IMAGE: Final = Purpose(fits=names.is_image, refusal=_REFUSAL, hint=names.IMAGE_RULE)
_REGISTRY: Final = Purpose(fits=names.is_repository, refusal=_REFUSAL, hint=names.REPOSITORY_RULE)


def rows(
    grid: Grid,
    cells: Iterable[Cell],
    *,
    bases: Mapping[str, Base],
    registries: tuple[str, ...],
    prefix: str,
    main_platform: str,
    naming: Mapping[str, NamingRule],
    mistakes: Mistakes,
) -> Iterator[Row]:
    """Yield the rows of one family; what is wrong with their names is noted.

    The tags of rows for another Docker platform than the main one end with it.
    """
    tags = _Tags(grid, main_platform, mistakes)
    if not tags.is_usable:
        return
    places = _Registries(grid, registries, naming, mistakes)
    images = _Images(grid, bases, mistakes)
    family = grid.declared.family
    local = f"{prefix}/{family.name}" if prefix else family.name
    tagged = tuple(tags.fill(cells))
    together = _together(tagged)
    for cell, published_tag, variant in tagged:
        repositories, tag = places.repositories(cell), published_tag + variant
        shares = together[published_tag] if len(together[published_tag]) > 1 else ()
        yield Row(
            family=family,
            base=images.base(cell),
            tag=tag,
            axes=_axes(cell),
            values=cell.values,
            image=f"{repositories[0] if repositories else local}:{tag}",
            repositories=repositories,
            platform=cell.platform,
            variant=variant,
            shares=shares,
            allow=cell.allow,
            impossible=cell.row.impossible if cell.row else "",
            places=grid.places(cell),
            origins=grid.origins(cell),
        )
    tags.note(is_published=bool(places))
    places.note()
    images.note()


def _axes(cell: Cell) -> dict[str, str]:
    return {part.axis: part.value for part in cell.combination}


def _together(tagged: Iterable[tuple[Cell, str, str]]) -> Mapping[str, tuple[str, ...]]:
    """Return the platforms of the rows that share a tag in registries; impossible rows are published by nobody."""
    found: dict[str, tuple[str, ...]] = {}
    for cell, tag, _ in tagged:
        is_possible = not (cell.row and cell.row.impossible)
        found[tag] = (*found.get(tag, ()), *([cell.platform] if is_possible else []))
    return found


class _Tags:
    """The tags of one family's rows, every one for one row only."""

    def __init__(self, grid: Grid, main_platform: str, mistakes: Mistakes) -> None:
        declared = grid.declared
        self._main_platform = main_platform
        self._pattern = Pattern(declared.family.tag, (*declared.at, "tag"), _TAG, grid=grid, mistakes=mistakes)
        self.is_usable = self._pattern.is_usable
        self._first: dict[str, Cell] = {}

    def fill(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, str, str]]:
        """Yield each row that can have a tag, with it, and with what its platform adds to it."""
        fill, first, alike = self._pattern.fill, self._first, dict[str, Cell]()
        for cell in cells:
            tag = fill(cell)
            if tag:
                variant = "" if cell.platform == self._main_platform else platforms.suffix(cell.platform)
                other, elsewhere = first.setdefault(tag + variant, cell), alike.setdefault(tag, cell)
                if other is not cell:
                    self._note_shared(cell, other, tag + variant)
                elif elsewhere is not cell and _axes(elsewhere) != _axes(cell):
                    self._note_shared(cell, elsewhere, tag)
                yield cell, tag, variant

    def note(self, *, is_published: bool) -> None:
        """Note what is wrong with them; where rows are published, also that their further tags must fit and differ."""
        for tag, cell in self._first.items() if is_published else ():
            if len(tag) > providers.LONGEST_TAG:
                what = f"a tag of {len(tag)} characters is too long: {shown(cell)}"
                self._pattern.count(("long",), what, providers.TAG_RULE)
            if tag + LATEST in self._first:
                what = f"the tag {tag + LATEST!r} of a row is the moving tag of another: {shown(cell)}"
                self._pattern.count(
                    ("latest",), what, f"the newest image of a row is TAG{LATEST}: a tag must not end with it"
                )
        self._pattern.note()

    def _note_shared(self, cell: Cell, other: Cell, tag: str) -> None:
        differing = [axis for axis, value in _axes(cell).items() if _axes(other)[axis] != value]
        what = f"two rows have the tag {tag!r}: {shown(other)} and {shown(cell)}"
        self._pattern.count(("shared", *differing), what, f"put {{{differing[0]}}} into the tag")


class _Registries:
    """Where the images of one family's rows go: the registries of its destination, else the matrix's."""

    def __init__(
        self, grid: Grid, of_matrix: tuple[str, ...], naming: Mapping[str, NamingRule], mistakes: Mistakes
    ) -> None:
        destination = grid.declared.family.destination
        own = destination.registries if destination else ()
        at = ("destinations", destination.name, "registry") if destination and own else ("registry",)
        self._found = [
            _Registry(grid, text, (*at, index), naming, mistakes) for index, text in enumerate(own or of_matrix)
        ]

    def __len__(self) -> int:
        return len(self._found)

    def repositories(self, cell: Cell) -> tuple[str, ...]:
        """Return where a row is published; patterns with the same result are one place."""
        return tuple(dict.fromkeys(each.repository(cell) for each in self._found))

    def note(self) -> None:
        for each in self._found:
            each.note()


class _Registry:
    """One registry of a family's rows. Most are no patterns, and the same for all rows."""

    def __init__(
        self, grid: Grid, text: str, at: KeyPath, naming: Mapping[str, NamingRule], mistakes: Mistakes
    ) -> None:
        self._naming = naming
        self._family = grid.declared.family.name
        self._text = text
        self._at = at
        self._mistakes = mistakes
        self._pattern = Pattern(text, at, _REGISTRY, grid=grid, mistakes=mistakes) if has_names(text) else None
        self._known: dict[str, str] = {}
        """Registry -> repository."""

    def repository(self, cell: Cell) -> str:
        """Return the repository of a row; what its provider has against the name is noted, once."""
        registry = self._pattern.fill(cell) if self._pattern else self._text
        known = self._known.get(registry)
        if known is None:
            known = self._known[registry] = f"{registry}/{self._family}"
            refused = providers.refusal(known, self._naming)
            if refused:
                self._mistakes.add(self._at, *refused)
        return known

    def note(self) -> None:
        if self._pattern:
            self._pattern.note()


class _Images:
    """The bases of one family's rows, their images filled in; rows with the same image share the base."""

    def __init__(self, grid: Grid, bases: Mapping[str, Base], mistakes: Mistakes) -> None:
        self._grid = grid
        self._axis = tuple(grid.declared.axes).index("base")
        self._bases = bases
        self._mistakes = mistakes
        self._patterns: dict[str, Pattern | None] = {}
        """By the bases that rows have; nothing for those without a pattern."""
        self._filled: dict[tuple[str, str], Base] = {}

    def base(self, cell: Cell) -> Base:
        """Return the base of a row."""
        name = cell.combination[self._axis].value  # what facts may say about it is reported, not followed
        pattern = self._patterns[name] if name in self._patterns else self._add(name)
        if pattern is None:
            return self._bases[name]
        image = pattern.fill(cell)
        base = self._filled.get((name, image))
        if base is None:
            base = self._filled[name, image] = replace(self._bases[name], image=image)
        return base

    def _add(self, name: str) -> Pattern | None:
        image, pattern = self._bases[name].image, None
        if has_names(image):
            pattern = Pattern(image, ("bases", name, "image"), _IMAGE, grid=self._grid, mistakes=self._mistakes)
        self._patterns[name] = pattern
        return pattern

    def note(self) -> None:
        for pattern in filter(None, self._patterns.values()):
            pattern.note()
