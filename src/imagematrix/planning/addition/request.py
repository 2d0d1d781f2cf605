"""The row that a command requests, as data."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

ALLOW: Final = "allow"
"""The word that is not an axis: why a row is built though upstream broke it."""
PLATFORMS: Final = "platforms"
"""Another: the Docker platforms of the row, with commas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """The words of a command, understood."""

    family: str
    values: Mapping[str, str]
    allow: str
    facts: Mapping[tuple[str, str], Mapping[str, str]]
    """The facts of new values, by axis and value."""
    own: Mapping[str, str]
    """What the row says of itself."""
    declined: frozenset[str]
    """Facts that are not to be proposed."""
    platforms: tuple[str, ...] = ()
    """The Docker platforms that it names; empty: it is for those of its family."""
    proposed: frozenset[str] = frozenset()
    """Facts that were not given: the catalogue knows them, and adds them again when the command is repeated."""

    def command(self, values: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None) -> str:
        """Return the command that adds it, or the row with other values, or with more facts."""
        more = more or {}
        chosen = {axis: (values or self.values)[axis] for axis in self.values}
        for (axis, value), facts in self.facts.items():
            chosen |= facts if chosen[axis] == value else {}
        chosen |= {**self.own, **dict.fromkeys(sorted(self.declined), ""), **more}
        chosen |= {PLATFORMS: ",".join(self.platforms)} if self.platforms else {}
        said = {name: value for name, value in chosen.items() if name not in self.proposed or name in more}
        return " ".join(["invoke add", self.family, *_pairs(said)])

    def __str__(self) -> str:
        return self.command().removeprefix("invoke add ")


def without(request: RowRequest, names: Collection[str]) -> RowRequest:
    """Return a request that says nothing of some facts."""
    facts = {at: {name: said[name] for name in said if name not in names} for at, said in request.facts.items()}
    own = {name: value for name, value in request.own.items() if name not in names}
    return replace(request, facts={at: said for at, said in facts.items() if said}, own=own)


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    """Yield words as one types them into a shell."""
    return (f"{name}={shlex.quote(value) if value else ''}" for name, value in values.items())
