"""TOML text in, the matrix out: every row proven well-formed, or all that is wrong told at once."""

from collections.abc import Mapping

from imagematrix.matrix import declaration, tagging
from imagematrix.matrix.facts import Consequences, Facts
from imagematrix.matrix.grid import Grid
from imagematrix.model import Matrix, Row
from imagematrix.text import toml_text
from imagematrix.text.shape import Mistakes, Table, refuse_control_characters


def parse(text: str, *, layers: Mapping[str, bool], file: str = "matrix.toml") -> Matrix:
    """Return the matrix a text declares; raise InputError with all of its problems.

    `layers` names the folders of common/layers, each with whether it holds a Dockerfile.j2.
    """
    text = text.removeprefix("\ufeff")
    mistakes = Mistakes()
    values = toml_text.read(text, file=file)
    refuse_control_characters(values, (), mistakes)
    mistakes.raise_any(text, file=file)
    document = Table(values, (), mistakes)
    if not declaration.has_schema(document):
        mistakes.raise_any(text, file=file)
    declared = declaration.read(document, layers=layers, mistakes=mistakes)
    rows = _rows(declared, mistakes)
    mistakes.raise_any(text, file=file)
    return Matrix(
        rows=tuple(sorted(rows, key=lambda row: row.name)),
        bases=declared.bases,
        families={family.family.name: family.family for family in declared.families},
        platforms=declared.platforms,
        registries=declared.registries,
        nodes=declared.nodes,
        platform=declared.platform,
        site=declared.site,
        sites=declared.sites,
    )


def _rows(declared: declaration.Declaration, mistakes: Mistakes) -> list[Row]:
    facts = Facts(declared.facts, bases=declared.bases, platforms=declared.platforms, mistakes=mistakes)
    found: list[Row] = []
    used: set[Consequences] = set()
    is_whole = declared.whole
    for family in declared.families:
        grid = Grid(family, facts, mistakes)
        cells = grid.cells()
        used |= grid.used(cells)
        is_whole = is_whole and bool(cells)
        found += tagging.rows(
            grid,
            cells,
            bases=declared.bases,
            registries=declared.registries,
            platform=declared.platform,
            mistakes=mistakes,
        )
    if is_whole and declared.families:
        facts.note_unused(used)
    return found
