"""What `add` puts into matrix.toml: words in; the row, where it goes and what it lacks out. Decides, writes nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagematrix import matrix
from imagematrix.compat import Finding, Severity, nearest
from imagematrix.errors import FlagError, InputError, did_you_mean
from imagematrix.matrix import Drafts
from imagematrix.model import Matrix, Place, Row
from imagematrix.planning import editing
from imagematrix.planning.render import Renderer
from imagematrix.text.locate import locate

_ALLOW: Final = "allow"
"""The word that is no axis: why a row is built though upstream broke it."""
_USAGE: Final = "invoke add FAMILY AXIS=VALUE …"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A fact that the other values of an axis have, and the new one has not."""

    axis: str
    value: str
    name: str
    proposal: str
    """What the catalogue says it is, if it knows."""

    def __str__(self) -> str:
        place = f"bases.{self.value}" if self.axis == "base" else f'facts.{self.axis}."{self.value}"'
        return f"{self.name} for {self.axis} {self.value} is not known: {place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A row that may be, and the text that has it."""

    row: Row
    text: str
    """matrix.toml with the row."""
    matrix: Matrix
    """What that text says."""
    command: str
    """What adds it."""
    lines: tuple[tuple[int, str], ...]
    """The new lines of the text, numbered."""
    findings: tuple[Finding, ...]
    missing: tuple[Missing, ...]
    near: str
    """The nearest row of the family that was there; empty: there is none that works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The words of a command, understood."""

    family: str
    values: Mapping[str, str]
    allow: str
    facts: Mapping[tuple[str, str], Mapping[str, str]]
    """What is said of new values: by axis and value."""

    def command(self, values: Mapping[str, str] | None = None) -> str:
        """Return the command that adds it, or the row with other values."""
        chosen = {axis: (values or self.values)[axis] for axis in self.values}
        for (axis, value), facts in self.facts.items():
            chosen |= facts if chosen[axis] == value else {}
        return " ".join(["invoke add", self.family, *_pairs(chosen)])

    def __str__(self) -> str:
        return self.command().removeprefix("invoke add ")


def decide(
    words: Sequence[str],
    text: str,
    old: Matrix,
    *,
    layers: Mapping[str, bool],
    renderer: Renderer,
    file: str,
) -> Addition:
    """Return what some words add to a matrix text; the renderer knows what templates want of a row.

    Raises FlagError where they mean no row, or one that is there, cannot be, or cannot be written.
    """
    reader = _Reader(words, old)
    siblings = [row for row in old.rows if row.family.name == reader.family]
    wish = reader.wish(Drafts(text, reader.family, layers=layers, file=file), siblings)
    _refuse_existing(wish, siblings, text, file=file)
    informed = text
    for at, facts in wish.facts.items():
        informed = editing.with_facts(informed, wish.family, at, facts)
    drafts = Drafts(informed, wish.family, layers=layers, file=file)
    alternatives = _Alternatives(wish, siblings, drafts, renderer)
    row = _drafted(wish, drafts, siblings, alternatives)
    found = renderer.findings(row)
    if any(finding.severity.is_error for finding in found):
        raise FlagError(_refusal(wish, found, alternatives))
    new, made = _edited(row, wish, (text, informed), old, drafts, layers=layers, file=file)
    near = nearest.existing(row.axes, siblings)
    return Addition(
        row=next(each for each in made.rows if each.name == row.name),
        text=new,
        matrix=made,
        command=wish.command(),
        lines=editing.inserted(text, new),
        findings=found,
        missing=tuple(each for each in _missing(row, siblings) if each.name in renderer.reads(row.family.layers)),
        near=near.name if near else "",
    )


class _Reader:
    """Understands words; all that is wrong with them is told at once."""

    def __init__(self, words: Sequence[str], old: Matrix) -> None:
        families = old.families
        if not words or "=" in words[0]:
            raise FlagError(f"say what to add: {_USAGE}\n    families: {', '.join(sorted(families))}")
        self.family, *self._pairs = words
        if self.family not in families:
            raise FlagError(f"add {self.family}: there is no such family\n    {did_you_mean(self.family, families)}")
        self._bases = old.bases
        self._usual = {row.base.name for row in old.rows if row.family.name == self.family}
        self._wrong: list[str] = []

    def wish(self, drafts: Drafts, siblings: Iterable[Row]) -> _Wish:
        """Return the row that is meant. Raises FlagError."""
        owners = {name: axis for row in siblings for name, axis in _facts_of(row) if axis != "base"}
        given = self._given((*drafts.axes, _ALLOW, *owners), drafts)
        values = {name: value for name, value in given.items() if name in drafts.axes}
        values = {**values, **{axis: value for axis, value in drafts.preset().items() if axis not in values}}
        if not self._wrong:
            self._wrong += [
                f"add {self.family}: no value for {axis}\n    known: {', '.join(drafts.known(axis))}"
                for axis in drafts.axes
                if axis not in values
            ]
        facts: dict[tuple[str, str], dict[str, str]] = {}
        for name, value in given.items() if not self._wrong else ():
            if name in owners and name not in drafts.axes:
                at = self._owner(name, value, owners[name], values, drafts)
                facts.setdefault(at, {})[name] = value
        if self._wrong:
            raise FlagError("\n".join(self._wrong))
        return _Wish(family=self.family, values=values, allow=given.get(_ALLOW, ""), facts=facts)

    def _given(self, known: Sequence[str], drafts: Drafts) -> Mapping[str, str]:
        given: dict[str, str] = {}
        for pair in self._pairs:
            name, sign, value = pair.partition("=")
            if not sign or not value:
                self._wrong.append(f"{pair}: expected AXIS=VALUE\n    axes of {self.family}: {', '.join(drafts.axes)}")
            elif name not in known:
                self._wrong.append(f"{pair}: {self.family} has no axis {name!r}\n    {did_you_mean(name, known)}")
            elif name in given:
                before = f"{name} is given twice, before as {given[name]!r}"
                self._wrong.append(f"{pair}: {before}\n    keep one of them")
            if value:
                given.setdefault(name, self._base(value) if name == "base" else value)
        return given

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

    def _owner(self, name: str, value: str, axis: str, values: Mapping[str, str], drafts: Drafts) -> tuple[str, str]:
        """Return the axis that a fact follows from, and its new value."""
        owner = values.get(axis, "")
        if not owner or drafts.has_facts(axis, owner):
            what = f"what is known of {axis} {owner} is written already" if owner else f"it follows from {axis}"
            self._wrong.append(f"{name}={value}: {name} is no axis of {self.family}: {what}\n    change it there")
        return axis, owner


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    return (f"{axis}={value}" for axis, value in values.items())


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _refuse_existing(wish: _Wish, siblings: Iterable[Row], text: str, *, file: str) -> None:
    for row in siblings:
        if row.axes == wish.values:
            place = next(iter(row.places.values()), ())
            by = "its own [[row]]" if "row" in place else "the axes of the family"
            there = f"{file}:{_line(place, text)}: {row.name} is there already, by {by}"
            raise FlagError(
                f"{there}: it cannot be had: {row.impossible}" if row.impossible else f"{there}: nothing to add"
            )


def _line(place: Place, text: str) -> int:
    return locate(text)[place if "row" not in place else place[:-1]][0]


def _drafted(wish: _Wish, drafts: Drafts, siblings: Iterable[Row], alternatives: "_Alternatives") -> Row:
    try:
        row = drafts.proven(wish.values, allow=wish.allow)
    except InputError as error:
        raise FlagError(f"{wish} cannot be added:\n{error}{alternatives}") from None
    for other in siblings:
        if other.tag == row.tag:
            differing = next(axis for axis in row.axes if row.axes[axis] != other.axes[axis])
            theirs = ", ".join(f"{axis}={value}" for axis, value in other.axes.items())
            what = f"{wish} cannot be added: its tag {row.tag!r} is that of {theirs}"
            raise FlagError(f"{what}\n    put {{{differing}}} into the tag of family {wish.family}")
    return row


def _refusal(wish: _Wish, found: Iterable[Finding], alternatives: "_Alternatives") -> str:
    errors = [finding for finding in found if finding.severity.is_error]
    lines = [f"{wish} {_VERDICTS[errors[0].severity]}: {errors[0]}"]
    lines += [f"    and {_VERDICTS[finding.severity]}: {finding}" for finding in errors[1:]]
    told = "\n".join(lines) + str(alternatives)
    if all(finding.severity is Severity.BROKEN for finding in errors):
        told += f'\n    to build it all the same, say why: {wish.command()} {_ALLOW}="…"'
    return told


_VERDICTS: Final = {Severity.IMPOSSIBLE: "cannot be", Severity.BROKEN: "is broken upstream"}


class _Alternatives:
    """What would work in the place of a row that cannot be: as commands, and the nearest row that is there."""

    def __init__(self, wish: _Wish, siblings: Sequence[Row], drafts: Drafts, renderer: Renderer) -> None:
        self._wish = wish
        self._drafts = drafts
        self._siblings = siblings
        self._renderer = renderer
        self._there = {tuple(row.axes.items()) for row in siblings} | {row.tag for row in siblings}

    def __str__(self) -> str:
        values = self._wish.values
        known = {axis: self._drafts.known(axis) for axis in values}
        found = nearest.offers(values, known, self._draft, self._has_all)
        lines = ["nothing was written; this would work:"] if found else ["nothing was written"]
        lines += [" ".join(["   ", self._wish.command(row.axes), *_pairs(self._facts(row))]) for row in found]
        near = nearest.existing(values, self._siblings)
        lines += [f"the nearest row that is there: {near.name}"] if near else []
        return "".join(f"\n    {line}" for line in lines)

    def _draft(self, values: Mapping[str, str]) -> Row | None:
        row = self._drafts.row(values)
        is_new = row and tuple(row.axes.items()) not in self._there and row.tag not in self._there
        return row if is_new else None

    def _has_all(self, row: Row) -> bool:
        whole = replace(row, values={**row.values, **self._facts(row)})
        return nearest.works(whole) and self._renderer.suits(whole)

    def _facts(self, row: Row) -> Mapping[str, str]:
        """Return what the catalogue says of new values, which the command may say too."""
        missing = (each for each in _missing(row, self._siblings) if each.proposal)
        return {each.name: each.proposal for each in missing if not self._drafts.has_facts(each.axis, each.value)}


def _edited(
    row: Row,
    wish: _Wish,
    texts: tuple[str, str],
    old: Matrix,
    drafts: Drafts,
    *,
    layers: Mapping[str, bool],
    file: str,
) -> tuple[str, Matrix]:
    """Return the first edit that adds just this row, read back: a value of an axis, else a row.

    `texts` are the one that is there, and that with the facts that come with the row.
    """
    text, informed = texts
    for new in _edits(wish, informed, drafts):
        made = _added(row, new, old, layers=layers, file=file)
        if made and editing.keeps(text, informed) and editing.keeps(informed, new):
            return new, made
    values = ", ".join(f'{axis} = "{value}"' for axis, value in row.axes.items())
    what = f"{row.name} can be, but not be put into {file} without changing what else it says"
    raise FlagError(f"{what}\n    write it by hand, as [[families.{wish.family}.row]] with {values}")


def _edits(wish: _Wish, text: str, drafts: Drafts) -> Iterator[str]:
    preset = drafts.preset()
    if not wish.allow:
        new = [axis for axis, value in wish.values.items() if value not in drafts.listed(axis)]
        if len(new) == 1 and drafts.listed(new[0]) and new[0] not in preset:
            yield editing.with_value(text, wish.family, new[0], wish.values[new[0]])
    values = {axis: value for axis, value in wish.values.items() if preset.get(axis) != value}
    yield editing.with_row(text, wish.family, values | ({_ALLOW: wish.allow} if wish.allow else {}))


def _added(row: Row, text: str, old: Matrix, *, layers: Mapping[str, bool], file: str) -> Matrix | None:
    """Return what a text says if that is the old matrix and this row."""
    try:
        made = matrix.parse(text, layers=layers, file=file)
    except InputError:
        return None
    others = tuple(each for each in made.rows if each != row)
    return made if others == old.rows and len(made.rows) == len(old.rows) + 1 else None


def _missing(row: Row, siblings: Iterable[Row]) -> Iterator[Missing]:
    """Yield the facts that the row's values lack: what all others of an axis have, or some and the catalogue knows."""
    names: dict[str, dict[str, set[str]]] = {}
    for sibling in (each for each in siblings if not each.impossible):
        for axis in sibling.values:
            names.setdefault(axis, {}).setdefault(sibling.values[axis], set())
        for name, axis in _facts_of(sibling):
            names[axis][sibling.values[axis]].add(name)
    for axis, by_value in sorted(names.items()):
        others = [of for value, of in by_value.items() if value != row.values.get(axis)]
        for name in sorted(set().union(*others) - row.values.keys()) if axis in row.values else ():
            missed = _missed(row, axis, name)
            if missed.proposal or all(name in of for of in others):
                yield missed


def _missed(row: Row, axis: str, name: str) -> Missing:
    value = row.values[axis]
    return Missing(axis=axis, value=value, name=name, proposal=nearest.fact(axis, value, name))


def wanted(added: Addition, name: str, siblings: Iterable[Row]) -> tuple[Missing, str] | None:
    """Return a fact that a template wants of the row, and what to do; nothing when other rows have none of the name."""
    row = added.row
    axes = (axis for sibling in siblings for found, axis in _facts_of(sibling) if found == name)
    axis = next((axis for axis in axes if axis in row.values), "")
    if not axis:
        return None
    missed = _missed(row, axis, name)
    if axis == "base":
        return missed, f'write it: [bases.{row.values[axis]}] {name} = "…"'
    everything = {each.name: each for each in (missed, *added.missing) if each.axis != "base"}
    words = " ".join(f"{each.name}={each.proposal or '…'}" for each in everything.values())
    says = "; what goes with it, by the catalogue" if any(each.proposal for each in everything.values()) else ""
    return missed, f"say it too: {added.command} {words}{says}"


def _facts_of(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the facts of a row, each with the axis or fact that it follows from."""
    for origin in row.origins:
        for name, place in origin.items():
            if place and place[0] in ("facts", "bases"):
                yield name, "base" if place[0] == "bases" else str(place[1])
