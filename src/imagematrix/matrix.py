"""TOML text in, the matrix out: every row proven well-formed, or all that is wrong told at once."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from itertools import islice
from typing import Final

from imagematrix import declaration, tagging, toml_text
from imagematrix.errors import FlagError, did_you_mean
from imagematrix.facts import Consequences, Facts
from imagematrix.grid import Grid
from imagematrix.model import Matrix, Row
from imagematrix.shape import Mistakes, Table

_COMPARED_NAMES: Final = 2000  # difflib takes a second for tens of thousands


def parse(text: str, *, layers: Mapping[str, bool], file: str = "matrix.toml") -> Matrix:
    """Return the matrix a text declares; raise InputError with all of its problems.

    `layers` names the folders of common/layers, each with whether it holds a Dockerfile.j2.
    """
    text = text.removeprefix("\ufeff")
    mistakes = Mistakes()
    document = Table(toml_text.read(text, file=file), (), mistakes)
    if not declaration.has_schema(document):
        mistakes.raise_any(text, file=file)
    declared = declaration.read(document, layers=layers, mistakes=mistakes)
    rows = _rows(declared, mistakes)
    mistakes.raise_any(text, file=file)
    return Matrix(
        rows=tuple(sorted(rows, key=lambda row: row.name)),
        bases=declared.bases,
        families={family.family.name: family.family for family in declared.families},
        registry=declared.registry,
        platform=declared.platform,
        site=declared.site,
    )


def _rows(declared: declaration.Declaration, mistakes: Mistakes) -> list[Row]:
    facts = Facts(declared.facts, declared.bases, mistakes)
    found: list[Row] = []
    used: set[Consequences] = set()
    is_whole = declared.whole
    for family in declared.families:
        grid = Grid(family, facts, mistakes)
        cells = grid.cells()
        used |= grid.used(cells)
        is_whole = is_whole and bool(cells)
        found += tagging.rows(grid, cells, bases=declared.bases, registry=declared.registry, mistakes=mistakes)
    if is_whole and declared.families:
        facts.note_unused(used)
    return found


def select(rows: Sequence[Row], *, only: Sequence[str] = (), groups: Sequence[str] = ()) -> tuple[Row, ...]:
    """Return the rows that match any of the patterns and are in any of the groups; all, when none is given.

    A pattern is a case-sensitive glob over `family:tag`. What matches nothing is a FlagError.
    """
    matchers = {pattern: re.compile(translate(pattern)).match for pattern in only}
    unknown = sorted(set(groups).difference(*(row.family.groups for row in rows)))
    wrong = [_no_group(group, rows) for group in unknown]
    wrong += [_no_match(pattern, rows) for pattern, matches in matchers.items() if not any(map(matches, _names(rows)))]
    if wrong:
        raise FlagError("\n".join(wrong))
    chosen = tuple(
        row
        for row in rows
        if (not only or any(matches(row.name) for matches in matchers.values()))
        and (not groups or not set(groups).isdisjoint(row.family.groups))
    )
    if rows and not chosen:
        raise FlagError(f"no row that matches {' or '.join(map(repr, only))} is in group {' or '.join(groups)}")
    return chosen


def _names(rows: Sequence[Row]) -> Iterator[str]:
    return (row.name for row in rows)


def _no_group(group: str, rows: Sequence[Row]) -> str:
    known = {group for row in rows for group in row.family.groups}
    return f"--group {group}: no row is in this group\n    {did_you_mean(group, known)}"


def _no_match(pattern: str, rows: Sequence[Row]) -> str:
    families = {row.family.name for row in rows}
    family, colon, _ = pattern.partition(":")
    if family in families and not colon:
        hint = f"a pattern is a glob over family:tag, did you mean '{family}:*'?"
    elif near := difflib.get_close_matches(pattern, islice(_names(rows), _COMPARED_NAMES), n=3):
        hint = f"nearest: {', '.join(near)}"
    else:
        hint = f"a pattern is a glob over family:tag; families: {', '.join(sorted(families))}"
    return f"--only {pattern}: no row matches\n    {hint}"
