"""Patterns and groups in, the rows they mean out."""

import difflib
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import islice
from typing import Final

from imagematrix.errors import FlagError, did_you_mean
from imagematrix.model import Row
from imagematrix.text import platforms as docker

_COMPARED_NAMES: Final = 2000  # difflib takes a second for tens of thousands


def select(
    rows: Sequence[Row], *, only: Sequence[str] = (), groups: Sequence[str] = (), platforms: Sequence[str] = ()
) -> tuple[Row, ...]:
    """Return the rows that match any of the patterns, in any of the groups, for any of the Docker platforms.

    What is not given selects all.

    A pattern is a case-sensitive glob over `family:tag`. What matches nothing is a FlagError.
    """
    matchers = {pattern: re.compile(translate(pattern)).match for pattern in only}
    unknown = sorted(set(groups).difference(*(row.family.groups for row in rows)))
    wrong = [_no_group(group, rows) for group in unknown]
    wrong += [_no_platform(name, rows) for name in sorted(set(platforms).difference(row.platform for row in rows))]
    wrong += [_no_match(pattern, rows) for pattern, matches in matchers.items() if not any(map(matches, _names(rows)))]
    if wrong:
        raise FlagError("\n".join(wrong))
    chosen = tuple(
        row
        for row in rows
        if (not only or any(matches(row.name) for matches in matchers.values()))
        and (not groups or not set(groups).isdisjoint(row.family.groups))
        and (not platforms or row.platform in platforms)
    )
    if rows and not chosen:
        asked = [
            f"matches {' or '.join(map(repr, only))}" if only else "",
            f"is in group {' or '.join(groups)}" if groups else "",
            f"is for {' or '.join(platforms)}" if platforms else "",
        ]
        raise FlagError(f"no row {' and '.join(filter(None, asked))}")
    return chosen


def _names(rows: Sequence[Row]) -> Iterator[str]:
    return (row.name for row in rows)


def _no_group(group: str, rows: Sequence[Row]) -> str:
    known = {group for row in rows for group in row.family.groups}
    return f"--group {group}: no row is in this group\n    {did_you_mean(group, known)}"


def _no_platform(platform: str, rows: Sequence[Row]) -> str:
    used = {row.platform for row in rows}
    hint = f"rows are for {', '.join(sorted(used))}; `platforms` of the matrix, a family or a row adds others"
    wrong = docker.fault(platform)
    return f"--platform {platform}: no row is for it\n    {did_you_mean(platform, used) if wrong else hint}"


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
