"""What follows from one value of an axis: its facts, and what follows from them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.model import Base
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

Pair = tuple[str, str]
"""An axis or fact and one value of it."""

AGREE: Final = "make them agree, or exclude the rows that have both"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Consequences:
    """A value of an axis with all that follows from it. Made once for each value: identity is equality."""

    axis: str
    value: str
    values: Mapping[str, str]
    """The value itself and its facts, sorted by name."""
    origins: Mapping[str, KeyPath]
    """Where each fact stands; nothing for the value itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one value says of one name, and where."""

    name: str
    value: str
    at: KeyPath


class Facts:
    """All facts a matrix declares, by its bases and by its facts."""

    def __init__(
        self,
        declared: Mapping[Pair, tuple[Fact, ...]],
        bases: Mapping[str, Base],
        mistakes: Mistakes,
    ) -> None:
        self._declared = declared
        self._bases = bases
        self._mistakes = mistakes
        self._known: dict[Pair, Consequences] = {}

    def follow(self, axis: str, value: str) -> Consequences:
        """Return what follows from a value; facts that contradict each other on the way are noted."""
        known = self._known.get((axis, value))
        if known is None:
            known = self._known[axis, value] = self._follow(axis, value)
        return known

    def _follow(self, axis: str, value: str) -> Consequences:
        values = {axis: value}
        origins: dict[str, KeyPath] = {axis: ()}
        todo = [(axis, value)]
        while todo:
            for fact in self._said_of(*todo.pop()):
                if fact.name not in values:
                    values[fact.name] = fact.value
                    origins[fact.name] = fact.at
                    todo.append((fact.name, fact.value))
                elif values[fact.name] != fact.value:
                    self._contradiction(fact, values[fact.name], origins[fact.name])
        return Consequences(axis=axis, value=value, values=dict(sorted(values.items())), origins=origins)

    def _said_of(self, axis: str, value: str) -> Iterator[Fact]:
        if axis == "base" and value in self._bases:
            for name, fact in self._bases[value].facts.items():
                yield Fact(name=name, value=fact, at=("bases", value, name))
        yield from self._declared.get((axis, value), ())

    def _contradiction(self, fact: Fact, other: str, at: KeyPath) -> None:
        what = f"{fact.value!r} contradicts {fact.name} = {other!r}"
        hint = "make them agree" if at else f"these facts follow from {fact.name} = {other!r}"
        self._mistakes.add(fact.at, what, hint, other=at)

    def is_named(self, name: str) -> bool:
        """Whether any base or value, used or not, has a fact of this name."""
        return any(name in base.facts for base in self._bases.values()) or any(
            fact.name == name for facts in self._declared.values() for fact in facts
        )

    def note_unused(self, used: Iterable[Consequences]) -> None:
        """Note the facts of values that none of these has."""
        values: dict[str, set[str]] = {}
        for part in used:
            for name, value in part.values.items():
                values.setdefault(name, set()).add(value)
        for name, value in self._declared:
            if name not in values:
                what = f"nothing uses these facts: no row has an axis or fact {name!r}"
                self._mistakes.add(("facts", name, value), what, did_you_mean(name, values))
            elif value not in values[name]:
                what = f"nothing uses these facts: no row has {name} = {value!r}"
                self._mistakes.add(("facts", name, value), what, did_you_mean(value, values[name]))


def clash(first: Consequences, second: Consequences) -> tuple[str, ...]:
    """Return the names that two values of different axes give different values to."""
    return tuple(name for name, value in first.values.items() if second.values.get(name, value) != value)
