"""What `add` puts into matrix.toml: words in; the row, where it goes and what it lacks out. Decides, writes nothing."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from imagematrix import matrix
from imagematrix.compat import Finding, Severity, nearest
from imagematrix.errors import FlagError, InputError, did_you_mean
from imagematrix.matrix import ROW_FACTS, Drafts
from imagematrix.model import Matrix, Place, Row
from imagematrix.planning import editing
from imagematrix.planning.render import Renderer
from imagematrix.text.locate import locate

_ALLOW: Final = "allow"
"""The word that is no axis: why a row is built though upstream broke it."""
_USAGE: Final = "invoke add FAMILY AXIS=VALUE …"

_OWNERS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("torchvision", "torchaudio"), ("torch",)),
    **dict.fromkeys(("pins", "numpy", "protobuf", "keras"), ("torch", "tensorflow", "paddle")),
    **dict.fromkeys(("miniconda", "miniconda_sha256", "jupyterlab", "tensorboard"), ("python",)),
    "tensorrt_deb": ("tensorrt",),
    "horovod_options": ("reduce",),
}
"""Fact -> the axes whose new values a person would write it for; of others, a row says it for itself."""


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
    proposed: Mapping[str, str]
    """Facts of the row that nobody said and the catalogue knows."""
    near: str
    """The nearest row of the family that was there; empty: there is none that works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The words of a command, understood."""

    family: str
    values: Mapping[str, str]
    allow: str
    facts: Mapping[tuple[str, str], Mapping[str, str]]
    """What is said of new values, by axis and value."""
    own: Mapping[str, str]
    """What the row says of itself."""
    declined: frozenset[str]
    """Facts that are not to be proposed."""
    proposed: frozenset[str] = frozenset()
    """Facts that nobody said: the catalogue knows them, and whoever repeats the command is given them again."""

    def command(self, values: Mapping[str, str] | None = None, more: Mapping[str, str] | None = None) -> str:
        """Return the command that adds it, or the row with other values, or with more facts."""
        more = more or {}
        chosen = {axis: (values or self.values)[axis] for axis in self.values}
        for (axis, value), facts in self.facts.items():
            chosen |= facts if chosen[axis] == value else {}
        chosen |= {**self.own, **dict.fromkeys(sorted(self.declined), ""), **more}
        said = {name: value for name, value in chosen.items() if name not in self.proposed or name in more}
        return " ".join(["invoke add", self.family, *_pairs(said)])

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
    return _Decision(words, text, old, layers=layers, renderer=renderer, file=file).addition()


class _Decision:
    """One command against one matrix text."""

    def __init__(
        self,
        words: Sequence[str],
        text: str,
        old: Matrix,
        *,
        layers: Mapping[str, bool],
        renderer: Renderer,
        file: str,
    ) -> None:
        self._text = text
        self._old = old
        self._layers = layers
        self._renderer = renderer
        self._file = file
        reader = _Reader(words, old, renderer)
        self._siblings = [row for row in old.rows if row.family.name == reader.family]
        self._wish = reader.wish(self._drafts(text, reader.family), self._siblings)

    def _drafts(self, text: str, family: str) -> Drafts:
        return Drafts(text, family, layers=self._layers, file=self._file)

    def addition(self) -> Addition:
        """Return the row, with what the catalogue proposes for it."""
        said = self._wish
        _refuse_existing(said, self._siblings, self._text, file=self._file)
        wish = self._completed(said)
        drafts = self._drafts(self._informed(wish)[-1], wish.family)
        alternatives = _Alternatives(wish, self._siblings, drafts, self._renderer, gone=_gone(self._old))
        row = _drafted(wish, drafts, self._siblings, alternatives)
        found = self._renderer.findings(row)
        if errors := [finding for finding in found if finding.severity.is_error]:
            raise FlagError(_refusal(wish, errors, alternatives.told(self._mended(wish, errors))))
        new, made = self._edited(row, wish, drafts)
        near = nearest.existing(row.axes, (each for each in self._siblings if _is_good(each, self._renderer)))
        return Addition(
            row=next(each for each in made.rows if each.name == row.name),
            text=new,
            matrix=made,
            command=wish.command(),
            lines=editing.inserted(self._text, new),
            findings=found,
            missing=tuple(self._lacking(row, wish)),
            proposed={name: row.values[name] for name in sorted(wish.proposed)},
            near=near.name if near else "",
        )

    def _informed(self, wish: _Wish) -> Sequence[str]:
        """Return the text as it is, then each time with what is said of one more new value."""
        texts = [self._text]
        for at, facts in wish.facts.items():
            texts.append(editing.with_facts(texts[-1], wish.family, at, facts))
        return texts

    def _edited(self, row: Row, wish: _Wish, drafts: Drafts) -> tuple[str, Matrix]:
        """Return the first edit that adds just this row, read back: a value of an axis, else a row."""
        texts = self._informed(wish)
        for new in _edits(wish, texts[-1], drafts):
            made = _added(row, new, self._old, layers=self._layers, file=self._file)
            if made and all(editing.keeps(old, edited) for old, edited in pairwise([*texts, new])):
                return new, made
        values = ", ".join(f'{axis} = "{value}"' for axis, value in {**row.axes, **wish.own}.items())
        what = f"{row.name} can be built, but {self._file} cannot take it without changing what else it says"
        raise FlagError(f"{what}\n    write it by hand, as [[families.{wish.family}.row]] with {values}")

    def _completed(self, wish: _Wish) -> _Wish:
        """Return a wish with the facts that it lacks and the catalogue knows, and those that rules ask for."""
        row = self._draft(wish)
        if not row:  # what is wrong with it is told without them
            return wish
        known = {each.name: (each.proposal, each.axis) for each in self._lacking(row, wish) if each.proposal}
        whole = self._with(wish, known)
        asked = self._asked(self._draft(whole) or row, whole)
        mended = self._with(whole, {name: (value, "") for name, value in asked.items()})
        found = self._draft(mended) if asked else None
        return mended if found and _is_good(found, self._renderer) else whole

    def _asked(self, row: Row, wish: _Wish) -> Mapping[str, str]:
        """Return the facts that would mend a row, by its errors, of those that it does not have."""
        read = self._renderer.reads(row.family.layers)
        words = (
            pair
            for finding in self._renderer.findings(row)
            if finding.severity.is_error
            for pair in finding.words.items()
        )
        return {
            name: value
            for name, value in words
            if name in ROW_FACTS and name in read and name not in row.values and name not in wish.declined
        }

    def _with(self, wish: _Wish, more: Mapping[str, tuple[str, str]]) -> _Wish:
        """Return a wish with more facts, each with its value and the axis that has it in other rows."""
        home = _Home(self._old, self._drafts(self._text, wish.family), self._renderer, wish.values)
        facts, own = {at: {**said} for at, said in wish.facts.items()}, {**wish.own}
        for name, (value, axis) in more.items():
            at = home.of(name, (axis,))
            (facts.setdefault(at, {}) if at else own)[name] = value
        return replace(wish, facts=facts, own=own, proposed=wish.proposed | more.keys())

    def _draft(self, wish: _Wish) -> Row | None:
        return self._drafts(self._informed(wish)[-1], wish.family).row(wish.values, facts=wish.own, allow=wish.allow)

    def _mended(self, wish: _Wish, errors: Iterable[Finding]) -> str:
        """Return the command of the row with the facts that its errors ask for, else without those that they blame.

        Empty where that is no help.
        """
        words = {name: value for error in errors for name, value in error.words.items() if name in ROW_FACTS}
        others = _without(wish, words or {error.about for error in errors})
        if others == wish and not words:
            return ""
        row = self._draft(self._with(others, {name: (value, "") for name, value in words.items()}))
        return others.command(more=words) if row and _is_good(row, self._renderer) else ""

    def _lacking(self, row: Row, wish: _Wish) -> Iterator[Missing]:
        """Yield the facts that the row lacks and its templates read, but for those that it is to do without."""
        read = self._renderer.reads(row.family.layers)
        return (each for each in _missing(row, self._siblings) if each.name in read and each.name not in wish.declined)


def _without(wish: _Wish, names: Collection[str]) -> _Wish:
    """Return a wish that says nothing of some facts."""
    facts = {at: {name: said[name] for name in said if name not in names} for at, said in wish.facts.items()}
    own = {name: value for name, value in wish.own.items() if name not in names}
    return replace(wish, facts={at: said for at, said in facts.items() if said}, own=own)


def _is_good(row: Row, renderer: Renderer) -> bool:
    """Whether check would have nothing against a row: no rule, and no template of its layers."""
    is_broken = any(finding.severity.is_error for finding in renderer.findings(row))
    return not row.impossible and not is_broken and renderer.suits(row)


def _gone(matrix: Matrix) -> frozenset[str]:
    """Return the bases of which all rows say that they cannot be had: nobody is sent there."""
    used = {row.base.name for row in matrix.rows}
    return frozenset(used - {row.base.name for row in matrix.rows if not row.impossible})


class _Home:
    """Where a fact of a new row is written: no other row may change by it."""

    def __init__(self, old: Matrix, drafts: Drafts, renderer: Renderer, values: Mapping[str, str]) -> None:
        self._drafts = drafts
        self._old = old
        self._renderer = renderer
        self._values = values

    def of(self, name: str, axes: Iterable[str]) -> tuple[str, str] | None:
        """Return the first of these axes, with its value, that no row has yet; nothing: the row says it itself."""
        for axis in (*axes, *_OWNERS.get(name, ())):
            value = self._values.get(axis, "")
            if (
                value
                and axis != "base"
                and not self._drafts.facts_of(axis, value)
                and not self._reads(name, axis, value)
            ):
                return axis, value
        return None

    def _reads(self, name: str, axis: str, value: str) -> bool:
        """Whether any row with this value has a template that reads the fact."""
        families = {row.family.layers for row in self._old.rows if row.values.get(axis) == value}
        return any(name in self._renderer.reads(layers) for layers in families)

    def written(self, name: str) -> tuple[str, str]:
        """Return what the matrix says already of a value of the row, and of which; nothing where it does not."""
        for axis, value in self._values.items():
            facts = self._old.bases[value].facts if axis == "base" else self._drafts.facts_of(axis, value)
            if name in facts:
                return facts[name], f"{axis} {value}"
        return "", ""


class _Reader:
    """Understands words; all that is wrong with them is told at once."""

    def __init__(self, words: Sequence[str], old: Matrix, renderer: Renderer) -> None:
        families = old.families
        if not words or "=" in words[0]:
            raise FlagError(f"say what to add: {_USAGE}\n    families: {', '.join(sorted(families))}")
        self.family, *self._pairs = words
        if self.family not in families:
            raise FlagError(f"add {self.family}: there is no such family\n    {did_you_mean(self.family, families)}")
        self._old = old
        self._renderer = renderer
        self._bases = old.bases
        self._usual = {row.base.name for row in old.rows if row.family.name == self.family}
        self._wrong: list[str] = []

    def wish(self, drafts: Drafts, siblings: Iterable[Row]) -> _Wish:
        """Return the row that is meant. Raises FlagError."""
        owners: dict[str, list[str]] = {}
        for name, axis in (pair for row in siblings for pair in _facts_of(row)):
            owners.setdefault(name, []).append(axis)
        given = self._given(drafts, owners)
        values = {name: value for name, value in given.items() if name in drafts.axes}
        values = {**values, **{axis: value for axis, value in drafts.preset().items() if axis not in values}}
        if not self._wrong:
            self._wrong += [
                f"add {self.family}: no value for {axis}\n    known: {', '.join(drafts.known(axis))}"
                for axis in drafts.axes
                if axis not in values
            ]
        said = {name: value for name, value in given.items() if name not in drafts.axes and name != _ALLOW}
        facts: dict[tuple[str, str], dict[str, str]] = {}
        own: dict[str, str] = {}
        home = _Home(self._old, drafts, self._renderer, values)
        for name, value in said.items() if not self._wrong else ():
            written, owner = home.written(name)
            if owner and written != value:
                what = f"{name}={value}: {owner} has {name} = {written!r} already"
                self._wrong.append(
                    f"{what}\n    {'choose another base' if 'base ' in owner else 'leave it out'}, or change it there"
                )
            elif value and not owner:
                at = home.of(name, dict.fromkeys(owners.get(name, ())))
                (facts.setdefault(at, {}) if at else own)[name] = value
        self._wrong += [
            f"{name}={value}: other rows have the values that it would follow from\n    write it by hand"
            for name, value in own.items()
            if name not in ROW_FACTS
        ]
        if self._wrong:
            raise FlagError("\n".join(self._wrong))
        return _Wish(
            family=self.family,
            values=values,
            allow=given.get(_ALLOW, ""),
            facts=facts,
            own=own,
            declined=frozenset(name for name, value in said.items() if not value),
        )

    def _given(self, drafts: Drafts, owners: Mapping[str, Iterable[str]]) -> Mapping[str, str]:
        """Return the words by name; a fact may be empty, which is to do without it."""
        of_base = {name for name, axes in owners.items() if set(axes) == {"base"}} - ROW_FACTS
        facts = (owners.keys() | ROW_FACTS | self._wanted(drafts)) - of_base
        known = (*drafts.axes, _ALLOW, *sorted(facts - {*drafts.axes}))
        given: dict[str, str] = {}
        for pair in self._pairs:
            name, sign, value = pair.partition("=")
            if not sign or (not value and name not in facts):
                self._wrong.append(f"{pair}: expected AXIS=VALUE\n    axes of {self.family}: {', '.join(drafts.axes)}")
            elif name in of_base:
                self._wrong.append(f"{pair}: {name} follows from the base\n    choose another base, or write one")
            elif name not in known:
                self._wrong.append(f"{pair}: {self.family} has no axis {name!r}\n    {self._near(name, known, drafts)}")
            elif name in given:
                before = f"{name} is given twice, before as {given[name]!r}"
                self._wrong.append(f"{pair}: {before}\n    keep one of them")
            if sign:
                given.setdefault(name, self._base(value) if name == "base" and value else value)
        return given

    def _wanted(self, drafts: Drafts) -> set[str]:
        """Return the facts that templates of the family ask for."""
        read = self._renderer.reads(self._old.families[self.family].layers)
        return {name for name in read if name in _OWNERS} - {*drafts.axes}

    @staticmethod
    def _near(name: str, known: Iterable[str], drafts: Drafts) -> str:
        hint = did_you_mean(name, known)
        return hint if hint.startswith("did you mean") else did_you_mean(name, drafts.axes)

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


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    """Yield words as one types them into a shell."""
    return (f"{name}={shlex.quote(value) if value else ''}" for name, value in values.items())


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _refuse_existing(wish: _Wish, siblings: Iterable[Row], text: str, *, file: str) -> None:
    for row in siblings:
        if row.axes == wish.values:
            place = next(iter(row.places.values()), ())
            by = "its own [[row]]" if "row" in place else "the axes of the family"
            there = f"{file}:{_line(place, text)}: {row.name} is there already, by {by}"
            if row.impossible:
                raise FlagError(f"{there}: it cannot be had: {row.impossible}")
            facts = ", ".join(f'{name} = "{value}"' for name, value in wish.own.items())
            raise FlagError(f"{there}: nothing to add" + (f"\n    write {facts} by hand" if facts else ""))


def _line(place: Place, text: str) -> int:
    return locate(text)[place if "row" not in place else place[:-1]][0]


def _drafted(wish: _Wish, drafts: Drafts, siblings: Iterable[Row], alternatives: "_Alternatives") -> Row:
    try:
        row = drafts.proven(wish.values, facts=wish.own, allow=wish.allow)
    except InputError as error:
        raise FlagError(f"{wish} cannot be added:\n{error}{alternatives.told()}") from None
    for other in siblings:
        if other.tag == row.tag:
            differing = next(axis for axis in row.axes if row.axes[axis] != other.axes[axis])
            theirs = ", ".join(f"{axis}={value}" for axis, value in other.axes.items())
            what = f"{wish} cannot be added: its tag {row.tag!r} is that of {theirs}"
            raise FlagError(f"{what}\n    put {{{differing}}} into the tag of family {wish.family}")
    return row


def _refusal(wish: _Wish, errors: Sequence[Finding], alternatives: str) -> str:
    lines = [f"{wish} {_VERDICTS[errors[0].severity]}: {errors[0]}"]
    lines += [f"    and {_VERDICTS[finding.severity]}: {finding}" for finding in errors[1:]]
    told = "\n".join(lines) + alternatives
    if all(finding.severity is Severity.BROKEN for finding in errors):
        told += f'\n    to build it all the same, say why: {wish.command()} {_ALLOW}="…"'
    return told


_VERDICTS: Final = {Severity.IMPOSSIBLE: "cannot be built", Severity.BROKEN: "is known to be broken"}


class _Alternatives:
    """What would work in the place of a row that cannot be: as commands, and the nearest row that is there."""

    def __init__(
        self, wish: _Wish, siblings: Sequence[Row], drafts: Drafts, renderer: Renderer, *, gone: frozenset[str]
    ) -> None:
        self._wish = wish
        self._gone = gone
        self._drafts = drafts
        self._siblings = siblings
        self._renderer = renderer
        self._there = {tuple(row.axes.items()) for row in siblings} | {row.tag for row in siblings}

    def told(self, mended: str = "") -> str:
        """Return what would work, first the command that mends the row itself."""
        values = self._wish.values
        known = {axis: set(self._drafts.known(axis)) - (self._gone if axis == "base" else set()) for axis in values}
        found = nearest.offers(values, known, self._draft, self._has_all)
        commands = [*filter(None, [mended]), *(self._wish.command(row.axes) for row in found)]
        lines = ["nothing was written; this would work:"] if commands else ["nothing was written"]
        lines += [f"    {command}" for command in commands]
        near = nearest.existing(values, (each for each in self._siblings if _is_good(each, self._renderer)))
        lines += [f"the nearest row that is there: {near.name}"] if near else []
        return "".join(f"\n    {line}" for line in lines)

    def _draft(self, values: Mapping[str, str]) -> Row | None:
        row = self._drafts.row(values, facts=self._wish.own)
        is_new = row and tuple(row.axes.items()) not in self._there and row.tag not in self._there
        return row if is_new else None

    def _has_all(self, row: Row) -> bool:
        whole = replace(row, values={**row.values, **self._facts(row)})
        return _is_good(whole, self._renderer)

    def _facts(self, row: Row) -> Mapping[str, str]:
        """Return what the catalogue says of new values, which the command may say too."""
        read = self._renderer.reads(row.family.layers)
        missing = (each for each in _missing(row, self._siblings) if each.proposal and each.name in read)
        return {each.name: each.proposal for each in missing if each.name not in self._wish.declined}


def _edits(wish: _Wish, text: str, drafts: Drafts) -> Iterator[str]:
    preset = drafts.preset()
    if not wish.allow and not wish.own:
        new = [axis for axis, value in wish.values.items() if value not in drafts.listed(axis)]
        if len(new) == 1 and drafts.listed(new[0]) and new[0] not in preset:
            yield editing.with_value(text, wish.family, new[0], wish.values[new[0]])
    values = {axis: value for axis, value in wish.values.items() if preset.get(axis) != value}
    yield editing.with_row(text, wish.family, {**values, **wish.own, **({_ALLOW: wish.allow} if wish.allow else {})})


def _added(row: Row, text: str, old: Matrix, *, layers: Mapping[str, bool], file: str) -> Matrix | None:
    """Return what a text says if that is the old matrix and this row."""
    try:
        made = matrix.parse(text, layers=layers, rules=old.rules, file=file)
    except InputError:
        return None
    others = [each for each in made.rows if each.name != row.name]
    is_same = len(others) == len(old.rows) and all(map(_is_unharmed, others, old.rows))
    return made if is_same and row in made.rows and len(made.rows) == len(old.rows) + 1 else None


def _is_unharmed(row: Row, old: Row) -> bool:
    """Whether a row is as it was, or only has more facts, which no template of it reads and no rule minds."""
    if row == old:
        return True
    known = {name: value for name, value in row.values.items() if name in old.values}
    return replace(row, values=known) == old and nearest.works(row) == nearest.works(old)


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
            is_new = row.values[axis] not in by_value
            if missed.proposal or (is_new and all(name in of for of in others)):
                yield missed


def _missed(row: Row, axis: str, name: str) -> Missing:
    value, build, python = row.values[axis], row.values.get("torch_build", ""), row.values.get("python", "")
    proposal = nearest.fact(axis, value, name, build=build, python=python)
    return Missing(axis=axis, value=value, name=name, proposal=proposal)


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
    names = dict.fromkeys(each.name for each in (missed, *added.missing) if each.axis != "base")
    return missed, f"say it too: {added.command} {' '.join(f'{each}=…' for each in names)}"


def _facts_of(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the facts of a row, each with the axis or fact that it follows from."""
    for origin in row.origins:
        for name, place in origin.items():
            if place and place[0] in ("facts", "bases"):
                yield name, "base" if place[0] == "bases" else str(place[1])
