"""What people can do about a mistake that rows have for one Docker platform, and not for the others."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.model import Place, Row

_OF_FACT: Final = ("facts", "axis", "value", "name")
_OF_BASE: Final = ("bases", "name", "fact")
"""How the places of facts are made."""
_Identity = tuple[str, tuple[tuple[str, str], ...]]


class Twins:
    """Rows, with those that differ from them by the Docker platform alone."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    @cached_property
    def _platforms(self) -> dict[_Identity, set[str]]:
        found: dict[_Identity, set[str]] = {}
        for row in self._rows:
            found.setdefault(_identity(row), set()).add(row.platform)
        return found

    def remedy(self, finding: Diagnostic, place: Place, having: Sequence[Row]) -> str:
        """Return the hint of a finding of some rows.

        Where only one platform has the finding, it says where the value may stand for that platform alone, and how the
        rows are left out there.
        """
        if not finding.severity.is_error or len({row.platform for row in having}) > 1:
            return finding.hint
        if not all(len(self._platforms[_identity(row)]) > 1 for row in having):
            return finding.hint
        return "\n    ".join(filter(None, [finding.hint, *_ways(finding, place, having)]))


def _identity(row: Row) -> _Identity:
    return row.family.name, tuple(row.axes.items())


def _ways(finding: Diagnostic, place: Place, having: Sequence[Row]) -> Iterator[str]:
    platform = f'"{having[0].platform}"'
    if len(place) == len(_OF_FACT) and place[0] == "facts":
        yield f'for this platform alone it stands in [facts.{platform}.{place[1]}."{place[2]}"]'
    elif len(place) == len(_OF_BASE) and place[0] == "bases":
        yield f'for this platform alone it stands in [facts.{platform}.base."{place[1]}"]'
    if all("row" in each.place("platform") for each in having):
        yield f"or take {platform} out of the row's platforms"
        return
    family = _one(each.family.name for each in having) or "NAME"
    value = _one(each.axes.get(finding.about, "") for each in having)
    condition = f', {finding.about} = "{value}"' if value else ""
    yield f'or leave it out: [[families.{family}.exclude]] platform = {platform}{condition}, reason = "…"'


def _one(values: Iterable[str]) -> str:
    """Return what all of some values are; nothing where they differ."""
    found = {*values}
    return found.pop() if len(found) == 1 else ""
