"""TOML text in, the matrix out: every row is well-formed, or all problems are reported at once."""

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from imagematrix import __version__, audit
from imagematrix.matrix import declaration, tagging
from imagematrix.matrix.grid import Declared, Grid
from imagematrix.model import Matrix, NamingRule, Row, RuleDeclaration
from imagematrix.text import toml_text
from imagematrix.text.shape import Mistakes, Table, refuse_control_characters

if TYPE_CHECKING:
    from imagematrix.matrix.facts import Consequences

MOST_ROWS: Final = 200_000
"""How many rows axes may make, before excludes. To plan 100,000 takes 600 MB."""


def parse(
    text: str,
    *,
    layers: Mapping[str, bool],
    rules: Mapping[str, RuleDeclaration] | None = None,
    naming: Mapping[str, NamingRule] = MappingProxyType({}),
    file: str = "matrix.toml",
) -> Matrix:
    """Return the matrix a text declares; raise InputError with all of its problems.

    `layers` names the folders of common/layers, each with whether it holds a Dockerfile.j2; `rules` are those that
    destinations may name, None: those that come with imagematrix. `naming` are those of plugins for
    names of repositories: host -> rule.
    """
    known = audit.stock() if rules is None else rules
    text = text.removeprefix("\ufeff")
    mistakes = Mistakes("matrix")
    values = toml_text.read(text, file=file)
    refuse_control_characters(values, (), mistakes)
    mistakes.raise_any(text, file=file)
    document = Table(values, (), mistakes)
    if not (declaration.has_schema(document) and declaration.is_for(document, __version__)):
        mistakes.raise_any(text, file=file)
    declared = declaration.read(document, layers=layers, rules=known, naming=naming, mistakes=mistakes)
    rows = [] if _are_too_many(declared.families, mistakes) else _rows(declared, naming, mistakes)
    mistakes.raise_any(text, file=file)
    return Matrix(
        rows=tuple(sorted(rows, key=lambda row: row.name)),
        bases=declared.bases,
        families={family.family.name: family.family for family in declared.families},
        destinations=declared.destinations,
        rules=known,
        naming=naming,
        sources=declared.sources,
        dockerfiles=declared.dockerfiles,
        registries=declared.registries,
        nodes=declared.nodes,
        compression=declared.compression,
        signing=declared.signing,
        platforms=declared.platforms,
        site=declared.site,
        sites=declared.sites,
    )


def _are_too_many(families: tuple[Declared, ...], mistakes: Mistakes) -> bool:
    """Note that axes make more rows than memory is for: this is known before any of them is made."""
    sizes = [len(family.platforms) * prod(len(values) for values in family.axes.values()) for family in families]
    total = sum(sizes)
    if total <= MOST_ROWS:
        return False
    size, family = max(zip(sizes, families, strict=True), key=lambda each: each[0])
    axis = max(family.axes, key=lambda name: len(family.axes[name]))
    factors = " x ".join(f"{len(values)} {name}" for name, values in family.axes.items())
    all_of_them = f" of {total:,} in all families" if total > size else ""
    what = f"these axes make {size:,} rows{all_of_them}, and a matrix has at most {MOST_ROWS:,}: {factors}"
    hint = f"name fewer values, of {axis!r} above all, or write the rows that are meant by hand; excludes count later"
    mistakes.add((*family.at, "axes"), what, hint)
    return True


def _rows(declared: declaration.Declaration, naming: Mapping[str, NamingRule], mistakes: Mistakes) -> list[Row]:
    facts = declaration.facts(declared, mistakes)
    found: list[Row] = []
    used: dict[str, set[Consequences]] = {}
    is_whole = declared.whole
    for family in declared.families:
        grid = Grid(family, facts, mistakes)
        cells = grid.cells()
        for platform, parts in grid.used(cells).items():
            used.setdefault(platform, set()).update(parts)
        is_whole = is_whole and bool(cells)
        found += tagging.rows(
            grid,
            cells,
            bases=declared.bases,
            registries=declared.registries,
            prefix=declared.prefix,
            main_platform=declared.platforms[0],
            naming=naming,
            mistakes=mistakes,
        )
    if is_whole and declared.families:
        facts.note_unused(used)
    return found
