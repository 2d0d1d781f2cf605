"""What `add` puts into matrix.toml: words in; the row, its place and what it lacks out. Decides, writes nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from imagematrix import matrix
from imagematrix.compat import nearest
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import FlagError, InputError
from imagematrix.matrix import ROW_FACTS, RowFactory
from imagematrix.model import Matrix, Place, Row
from imagematrix.planning import editing
from imagematrix.planning.addition.alternatives import Alternatives, is_good, refusal, unavailable_bases
from imagematrix.planning.addition.facts import FactPlacement, Missing, facts_of_row, missing_fact, missing_facts
from imagematrix.planning.addition.request import ALLOW, PLATFORMS, RowRequest, without
from imagematrix.planning.addition.words import WordReader
from imagematrix.planning.render import Renderer
from imagematrix.text.locate import locate


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A row that may be, and the text that has it."""

    rows: tuple[Row, ...]
    """One for each Docker platform of the family."""
    text: str
    """matrix.toml with them."""
    matrix: Matrix
    """What that text says."""
    command: str
    """What adds it."""
    lines: tuple[tuple[int, str], ...]
    """The new lines of the text, numbered."""
    findings: tuple[Diagnostic, ...]
    missing: tuple[Missing, ...]
    proposed: Mapping[str, str]
    """Facts of the row that were not given and that the catalogue knows."""
    near: str
    """The nearest existing row of the family; empty: none works."""

    @property
    def row(self) -> Row:
        """The row that is added, for the first of its platforms."""
        return self.rows[0]


def decide(
    words: Sequence[str],
    text: str,
    old: Matrix,
    *,
    layers: Mapping[str, bool],
    renderer: Renderer,
    file: str,
) -> Addition:
    """Return what some words add to a matrix text; the renderer knows which values templates need.

    Raises FlagError if they name no row, or one that exists, is impossible, or cannot be written.
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
        reader = WordReader(words, old, renderer)
        self._siblings = [row for row in old.rows if row.family.name == reader.family]
        self._request = reader.request(self._factory(text, reader.family), self._siblings)

    def _factory(self, text: str, family: str) -> RowFactory:
        return RowFactory(text, family, layers=self._layers, naming=self._old.naming, file=self._file)

    def addition(self) -> Addition:
        """Return the row, with what the catalogue proposes for it."""
        said = self._request
        _refuse_existing(said, self._siblings, self._text, file=self._file)
        request = self._completed(said)
        factory = self._factory(self._informed(request)[-1], request.family)
        alternatives = Alternatives(request, self._siblings, factory, self._renderer, gone=unavailable_bases(self._old))
        rows = _proven_rows(request, factory, self._siblings, alternatives)
        row, found = rows[0], tuple(dict.fromkeys(each for row in rows for each in self._renderer.findings(row)))
        if errors := [finding for finding in found if finding.severity.is_error]:
            mended = self._narrowed(request, rows) or self._mended(request, errors)
            raise FlagError(refusal(request, errors, alternatives.told(mended)))
        new, made = self._edited(rows, request, factory)
        near = nearest.existing(row.axes, (each for each in self._siblings if is_good(each, self._renderer)))
        return Addition(
            rows=tuple(_named(made.rows, each.name) for each in rows),
            text=new,
            matrix=made,
            command=request.command(),
            lines=editing.inserted(self._text, new),
            findings=found,
            missing=tuple(self._lacking(row, request)),
            proposed={name: row.values[name] for name in sorted(request.proposed)},
            near=near.name if near else "",
        )

    def _informed(self, request: RowRequest) -> Sequence[str]:
        """Return the text as it is, then with the facts of one more new value each time."""
        texts = [self._text]
        for at, facts in request.facts.items():
            texts.append(editing.with_facts(texts[-1], request.family, at, facts))
        return texts

    def _edited(self, rows: Sequence[Row], request: RowRequest, factory: RowFactory) -> tuple[str, Matrix]:
        """Return the first edit that adds just these rows, read back: a value of an axis, else a row."""
        texts = self._informed(request)
        for new in _edits(request, texts[-1], factory):
            made = _added(rows, new, self._old, layers=self._layers, file=self._file)
            if made and all(editing.keeps(old, edited) for old, edited in pairwise([*texts, new])):
                return new, made
        row = rows[0]
        values = ", ".join(f'{axis} = "{value}"' for axis, value in {**row.axes, **request.own}.items())
        what = f"{row.name} can be built, but {self._file} cannot hold it without changing other rows"
        values += f", platforms = {editing.list_of(request.platforms)}" if request.platforms else ""
        raise FlagError(f"{what}\n    write it by hand, as [[families.{request.family}.row]] with {values}")

    def _completed(self, request: RowRequest) -> RowRequest:
        """Return a request with the facts that it lacks and the catalogue knows, and those that rules need."""
        row = self._row(request)
        if not row:  # its problems are reported without them
            return request
        known = {each.name: (each.proposal, each.axis) for each in self._lacking(row, request) if each.proposal}
        whole = self._with(request, known)
        asked = self._asked(self._row(whole) or row, whole)
        mended = self._with(whole, {name: (value, "") for name, value in asked.items()})
        found = self._row(mended) if asked else None
        return mended if found and is_good(found, self._renderer) else whole

    def _asked(self, row: Row, request: RowRequest) -> Mapping[str, str]:
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
            if name in ROW_FACTS and name in read and name not in row.values and name not in request.declined
        }

    def _with(self, request: RowRequest, more: Mapping[str, tuple[str, str]]) -> RowRequest:
        """Return a request with more facts, each with its value and the axis that has it in other rows."""
        placement = FactPlacement(self._old, self._factory(self._text, request.family), self._renderer, request.values)
        facts, own = {at: {**said} for at, said in request.facts.items()}, {**request.own}
        for name, (value, axis) in more.items():
            at = placement.of(name, (axis,))
            (facts.setdefault(at, {}) if at else own)[name] = value
        return replace(request, facts=facts, own=own, proposed=request.proposed | more.keys())

    def _row(self, request: RowRequest) -> Row | None:
        return self._factory(self._informed(request)[-1], request.family).row(
            request.values, facts=request.own, allow=request.allow, platforms=request.platforms
        )

    def _narrowed(self, request: RowRequest, rows: Sequence[Row]) -> str:
        """Return the command of the row for those of its Docker platforms that it works on; empty: for none."""
        working = tuple(row.platform for row in rows if is_good(row, self._renderer))
        return replace(request, platforms=working).command() if working else ""

    def _mended(self, request: RowRequest, errors: Iterable[Diagnostic]) -> str:
        """Return the command of the row with the facts that its errors require, else without those that they blame.

        Empty where that does not help.
        """
        words = {name: value for error in errors for name, value in error.words.items() if name in ROW_FACTS}
        others = without(request, words or {error.about for error in errors})
        if others == request and not words:
            return ""
        row = self._row(self._with(others, {name: (value, "") for name, value in words.items()}))
        return others.command(more=words) if row and is_good(row, self._renderer) else ""

    def _lacking(self, row: Row, request: RowRequest) -> Iterator[Missing]:
        """Yield the facts that the row lacks and its templates read, except those that it declines."""
        read = self._renderer.reads(row.family.layers)
        return (
            each
            for each in missing_facts(row, self._siblings)
            if each.name in read and each.name not in request.declined
        )


def _refuse_existing(request: RowRequest, siblings: Iterable[Row], text: str, *, file: str) -> None:
    there = {row.platform: row for row in siblings if row.axes == request.values}
    existing = [row for platform, row in there.items() if platform in (request.platforms or there)]
    for row in existing:
        place = next(iter(row.places.values()), ())
        by = "its own [[row]]" if "row" in place else "the axes of the family"
        what = f"{file}:{_line(place, text)}: {row.name} exists already, from {by}"
        if row.impossible:
            raise FlagError(f"{what}: it is impossible: {row.impossible}")
        facts = ", ".join(f'{name} = "{value}"' for name, value in request.own.items())
        others = tuple(platform for platform in request.platforms if platform not in there)
        ways = [f"write {facts} by hand"] if facts else []
        ways += [f"for the others: {replace(request, platforms=others).command()}"] if others else []
        raise FlagError("\n    ".join([f"{what}: nothing to add", *ways]))


def _line(place: Place, text: str) -> int:
    return locate(text)[place if "row" not in place else place[:-1]][0]


def _proven_rows(
    request: RowRequest, factory: RowFactory, siblings: Iterable[Row], alternatives: Alternatives
) -> tuple[Row, ...]:
    try:
        rows = factory.proven(request.values, facts=request.own, allow=request.allow, platforms=request.platforms)
    except InputError as error:
        raise FlagError(f"{request} cannot be added:\n{error}{alternatives.told()}") from None
    taken = {other.tag: other for other in siblings}
    for row in rows:
        if other := taken.get(row.tag):
            differing = next(axis for axis in row.axes if row.axes[axis] != other.axes[axis])
            theirs = ", ".join(f"{axis}={value}" for axis, value in other.axes.items())
            what = f"{request} cannot be added: its tag {row.tag!r} is that of {theirs}"
            raise FlagError(f"{what}\n    put {{{differing}}} into the tag of family {request.family}")
    return rows


def _named(rows: Iterable[Row], name: str) -> Row:
    return next(row for row in rows if row.name == name)


def _edits(request: RowRequest, text: str, factory: RowFactory) -> Iterator[str]:
    preset = factory.preset()
    if not (request.allow or request.own or request.platforms):
        new = [axis for axis, value in request.values.items() if value not in factory.listed(axis)]
        if len(new) == 1 and factory.listed(new[0]) and new[0] not in preset:
            yield editing.with_value(text, request.family, new[0], request.values[new[0]])
    values = {axis: value for axis, value in request.values.items() if preset.get(axis) != value}
    said = {PLATFORMS: request.platforms, ALLOW: request.allow}
    yield editing.with_row(
        text, request.family, {**values, **request.own, **{name: value for name, value in said.items() if value}}
    )


def _added(rows: Sequence[Row], text: str, old: Matrix, *, layers: Mapping[str, bool], file: str) -> Matrix | None:
    """Return what a text says if that is the old matrix and these rows."""
    try:
        made = matrix.parse(text, layers=layers, rules=old.rules, naming=old.naming, file=file)
    except InputError:
        return None
    names = {row.name for row in rows}
    others = [each for each in made.rows if each.name not in names]
    is_same = len(others) == len(old.rows) and all(map(_is_unharmed, others, old.rows))
    there = {row.name: row for row in made.rows}
    is_there = all(_is_same(row, there.get(row.name)) for row in rows) and len(made.rows) == len(old.rows) + len(rows)
    return made if is_same and is_there else None


def _is_same(row: Row, other: Row | None) -> bool:
    """Whether rows are equal, whatever other platforms their tag has."""
    return other is not None and replace(row, shares=other.shares) == other


def _is_unharmed(row: Row, old: Row) -> bool:
    """Whether a row is as it was, or only has more facts, which no template of it reads and no rule minds."""
    row = replace(row, shares=old.shares)  # a row for another platform may have come
    if row == old:
        return True
    known = {name: value for name, value in row.values.items() if name in old.values}
    return replace(row, values=known) == old and nearest.works(row) == nearest.works(old)


def wanted(added: Addition, name: str, siblings: Iterable[Row]) -> tuple[Missing, str] | None:
    """Return a fact that a template needs of the row, and what to do; nothing if no other row has it."""
    row = added.row
    axes = (axis for sibling in siblings for found, axis in facts_of_row(sibling) if found == name)
    axis = next((axis for axis in axes if axis in row.values), "")
    if not axis:
        return None
    missed = missing_fact(row, axis, name)
    if axis == "base":
        return missed, f'write it: [bases.{row.values[axis]}] {name} = "…"'
    names = dict.fromkeys(each.name for each in (missed, *added.missing) if each.axis != "base")
    return missed, f"say it too: {added.command} {' '.join(f'{each}=…' for each in names)}"
