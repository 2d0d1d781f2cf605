"""What follows from one value of an axis: its facts, and what follows from them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.model import Base, Destination
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

Pair = tuple[str, str]
"""An axis or fact and one value of it."""

AGREE: Final = "make them agree, or exclude the rows that have both"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Consequences:
    """A value of an axis with everything that follows from it. Made once for each value: identity is equality."""

    axis: str
    """Empty for a destination, which is of all rows of a family, and for what a row says itself."""
    value: str
    values: Mapping[str, str]
    """The value itself (but not a destination's name) and its facts, sorted by name."""
    origins: Mapping[str, KeyPath]
    """Where each fact stands; nothing for the value itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one value says of one name, and where."""

    name: str
    value: str
    at: KeyPath


class Facts:
    """All facts a matrix declares, by its bases, its destinations and its facts."""

    def __init__(
        self,
        declared: Mapping[Pair, tuple[Fact, ...]],
        *,
        of_platforms: Mapping[str, Mapping[Pair, tuple[Fact, ...]]],
        bases: Mapping[str, Base],
        destinations: Mapping[str, Destination],
        mistakes: Mistakes,
    ) -> None:
        self._declared = declared
        self._of_platforms = of_platforms
        self._bases = bases
        self._destinations = destinations
        self._mistakes = mistakes
        self._known: dict[tuple[str, str, str], Consequences] = {}

    def follow(self, axis: str, value: str, platform: str) -> Consequences:
        """Return what follows from a value on a Docker platform; facts that contradict each other are noted."""
        place = platform if platform in self._of_platforms else ""  # all others have the same facts, and share them
        known = self._known.get((place, axis, value))
        if known is None:
            known = self._known[place, axis, value] = self._follow(axis, value, place)
        return known

    def of(self, at: KeyPath, facts: Mapping[str, str], platform: str) -> Consequences:
        """Return what follows from facts of a destination or a row that stand there; contradictions are noted."""
        values: dict[str, str] = {}
        origins: dict[str, KeyPath] = {}
        self._add(_said_by(at, facts), platform, values, origins)
        return Consequences(axis="", value=str(at[-1]), values=dict(sorted(values.items())), origins=origins)

    def _follow(self, axis: str, value: str, platform: str) -> Consequences:
        values = {axis: value}
        origins: dict[str, KeyPath] = {axis: ()}
        self._add(self._said_of(axis, value, platform), platform, values, origins)
        return Consequences(axis=axis, value=value, values=dict(sorted(values.items())), origins=origins)

    def _add(self, said: Iterable[Fact], platform: str, values: dict[str, str], origins: dict[str, KeyPath]) -> None:
        """Add what is given and everything that follows from it."""
        todo = [said]
        while todo:
            for fact in todo.pop():
                if fact.name not in values:
                    values[fact.name] = fact.value
                    origins[fact.name] = fact.at
                    todo.append(self._said_of(fact.name, fact.value, platform))
                elif values[fact.name] != fact.value:
                    self._contradiction(fact, values[fact.name], origins[fact.name])

    def _said_of(self, axis: str, value: str, platform: str) -> Iterator[Fact]:
        """Yield the facts of a value: those of its platform stand in place of those of all."""
        own = self._of_platforms.get(platform, {}).get((axis, value), ())
        replaced = {fact.name for fact in own}
        yield from own
        if axis == "base" and value in self._bases:
            of_base = _said_by(("bases", value), self._bases[value].facts)
            yield from (fact for fact in of_base if fact.name not in replaced)
        yield from (fact for fact in self._declared.get((axis, value), ()) if fact.name not in replaced)

    def _contradiction(self, fact: Fact, other: str, at: KeyPath) -> None:
        what = f"{fact.value!r} contradicts {fact.name} = {other!r}"
        hint = "make them agree" if at else f"these facts follow from {fact.name} = {other!r}"
        self._mistakes.add(fact.at, what, hint, other=at)

    def is_named(self, name: str) -> bool:
        """Whether any base, destination or value, used or not, has a fact of this name."""
        own = [owner.facts for owner in self._bases.values()] + [owner.facts for owner in self._destinations.values()]
        everywhere = (self._declared, *self._of_platforms.values())
        said = (fact.name for declared in everywhere for facts in declared.values() for fact in facts)
        return any(name in facts for facts in own) or name in said

    def note_unused(self, used: Mapping[str, Iterable[Consequences]]) -> None:
        """Report the facts of values that none of these has; they are given by the platforms of rows."""
        self._note_unused(("facts",), self._declared, chain.from_iterable(used.values()))
        for platform, declared in self._of_platforms.items():
            if platform in used:
                self._note_unused(("facts", platform), declared, used[platform])
            else:
                what = f"nothing uses these facts: no row is for {platform}"
                self._mistakes.add(("facts", platform), what, did_you_mean(platform, used))

    def _note_unused(self, at: KeyPath, declared: Iterable[Pair], used: Iterable[Consequences]) -> None:
        values: dict[str, set[str]] = {}
        for part in used:
            for name, value in part.values.items():
                values.setdefault(name, set()).add(value)
        for name, value in declared:
            if name not in values:
                what = f"nothing uses these facts: no row has an axis or fact {name!r}"
                self._mistakes.add((*at, name, value), what, did_you_mean(name, values))
            elif value not in values[name]:
                what = f"nothing uses these facts: no row has {name} = {value!r}"
                self._mistakes.add((*at, name, value), what, did_you_mean(value, values[name]))


def _said_by(at: KeyPath, facts: Mapping[str, str]) -> Iterator[Fact]:
    """Yield the facts of a base or a destination that stands there."""
    return (Fact(name=name, value=value, at=(*at, name)) for name, value in facts.items())


def clash(first: Consequences, second: Consequences) -> tuple[str, ...]:
    """Return the names that two values of different axes give different values to."""
    return tuple(name for name, value in first.values.items() if second.values.get(name, value) != value)
