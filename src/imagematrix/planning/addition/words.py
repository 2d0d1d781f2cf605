"""The words of a command -> the row that they request."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from imagematrix.errors import FlagError, did_you_mean
from imagematrix.matrix import ROW_FACTS, RowFactory
from imagematrix.model import Matrix, Row
from imagematrix.planning.addition.facts import OWNERS, FactPlacement, facts_of_row
from imagematrix.planning.addition.request import ALLOW, PLATFORMS, RowRequest
from imagematrix.planning.render import Renderer
from imagematrix.text import platforms

_USAGE: Final = "invoke add FAMILY AXIS=VALUE …"


class WordReader:
    """Parses words, and reports every problem with them at once."""

    def __init__(self, words: Sequence[str], old: Matrix, renderer: Renderer) -> None:
        families = old.families
        if not words or "=" in words[0]:
            raise FlagError(f"name the row to add: {_USAGE}\n    families: {', '.join(sorted(families))}")
        self.family, *self._pairs = words
        if self.family not in families:
            raise FlagError(f"add {self.family}: unknown family\n    {did_you_mean(self.family, families)}")
        self._old = old
        self._renderer = renderer
        self._bases = old.bases
        self._usual = {row.base.name for row in old.rows if row.family.name == self.family}
        self._wrong: list[str] = []

    def request(self, factory: RowFactory, siblings: Iterable[Row]) -> RowRequest:
        """Return the requested row. Raises FlagError with every wrong word."""
        owners: dict[str, list[str]] = {}
        for name, axis in (pair for row in siblings for pair in facts_of_row(row)):
            owners.setdefault(name, []).append(axis)
        given = self._given(factory, owners)
        values = {name: value for name, value in given.items() if name in factory.axes}
        values = {**values, **{axis: value for axis, value in factory.preset().items() if axis not in values}}
        if not self._wrong:
            self._wrong += [
                f"add {self.family}: no value for {axis}\n    known: {', '.join(factory.known(axis))}"
                for axis in factory.axes
                if axis not in values
            ]
        of_row = {*factory.axes, ALLOW, PLATFORMS}
        said = {name: value for name, value in given.items() if name not in of_row}
        facts: dict[tuple[str, str], dict[str, str]] = {}
        own: dict[str, str] = {}
        placement = FactPlacement(self._old, factory, self._renderer, values)
        for name, value in said.items() if not self._wrong else ():
            written, owner = placement.written(name)
            if owner and written != value:
                what = f"{name}={value}: {owner} has {name} = {written!r} already"
                self._wrong.append(
                    f"{what}\n    {'choose another base' if 'base ' in owner else 'leave it out'}, or change it there"
                )
            elif value and not owner:
                at = placement.of(name, dict.fromkeys(owners.get(name, ())))
                (facts.setdefault(at, {}) if at else own)[name] = value
        self._wrong += [
            f"{name}={value}: a fact for this row alone would change other rows\n    write it by hand"
            for name, value in own.items()
            if name not in ROW_FACTS
        ]
        if self._wrong:
            raise FlagError("\n".join(self._wrong))
        return RowRequest(
            family=self.family,
            values=values,
            allow=given.get(ALLOW, ""),
            facts=facts,
            own=own,
            platforms=_others_than(factory.platforms, given.get(PLATFORMS, "")),
            declined=frozenset(name for name, value in said.items() if not value),
        )

    def _given(self, factory: RowFactory, owners: Mapping[str, Iterable[str]]) -> Mapping[str, str]:
        """Return the words by name; an empty fact leaves it out."""
        of_base = {name for name, axes in owners.items() if set(axes) == {"base"}} - ROW_FACTS
        facts = (owners.keys() | ROW_FACTS | self._wanted(factory)) - of_base
        known = (*factory.axes, ALLOW, PLATFORMS, *sorted(facts - {*factory.axes}))
        given: dict[str, str] = {}
        for pair in self._pairs:
            name, sign, value = pair.partition("=")
            if not sign or (not value and name not in facts):
                self._wrong.append(f"{pair}: expected AXIS=VALUE\n    axes of {self.family}: {', '.join(factory.axes)}")
            elif name in of_base:
                self._wrong.append(f"{pair}: {name} follows from the base\n    choose another base, or write one")
            elif name not in known:
                self._wrong.append(
                    f"{pair}: {self.family} has no axis {name!r}\n    {self._near(name, known, factory)}"
                )
            elif name == PLATFORMS and (wrong := tuple(filter(None, map(platforms.fault, value.split(","))))):
                self._wrong += [f"{pair}: {each}" for each in wrong]
            elif name in given:
                before = f"{name} is given twice, before as {given[name]!r}"
                self._wrong.append(f"{pair}: {before}\n    keep one of them")
            if sign:
                given.setdefault(name, self._base(value) if name == "base" and value else value)
        return given

    def _wanted(self, factory: RowFactory) -> set[str]:
        """Return the facts that templates of the family need."""
        read = self._renderer.reads(self._old.families[self.family].layers)
        return {name for name in read if name in OWNERS} - {*factory.axes}

    @staticmethod
    def _near(name: str, known: Iterable[str], factory: RowFactory) -> str:
        hint = did_you_mean(name, known)
        return hint if hint.startswith("did you mean") else did_you_mean(name, factory.axes)

    def _base(self, word: str) -> str:
        """Return the base that a word names or, as only one name begins so, abbreviates: `cuda124`."""
        if word in self._bases:
            return word
        usual, known = (
            [name for name in names if _plain(name).startswith(_plain(word))] for names in (self._usual, self._bases)
        )
        found = sorted(usual if len(usual) == 1 else known)
        if len(found) == 1:
            return found[0]
        hint = f"known: {', '.join(found)}" if found else did_you_mean(word, self._bases)
        self._wrong.append(
            f"base={word}: {'more than one base begins so' if found else 'there is no such base'}\n    {hint}"
        )
        return word


def _others_than(usual: Collection[str], word: str) -> tuple[str, ...]:
    """Return the platforms that a word names; nothing where they are the usual ones, which need not be said."""
    named = tuple(dict.fromkeys(filter(None, word.split(","))))
    return () if {*named} == {*usual} else named


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
