"""A family's declaration in, its rows out: the product of its axes without what is excluded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, product

from imagematrix.errors import did_you_mean
from imagematrix.matrix import gpus
from imagematrix.matrix.exclusion import Exclude, Exclusion, exclusions
from imagematrix.matrix.facts import AGREE, Consequences, Facts, clash
from imagematrix.model import Family
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

Combination = tuple[Consequences, ...]
"""One value for each axis, in the order of the axes' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandRow:
    """A `[[row]]`: a value for each axis, and where it stands."""

    at: KeyPath
    values: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)
    """What it says of itself beside."""
    allow: str = ""
    """Why it is built though it is broken."""
    impossible: str = ""
    """Why it is impossible."""
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A family as declared. Values that are wrong have been left out; `doubted` names their axes."""

    family: Family
    at: KeyPath
    axes: Mapping[str, Mapping[str, KeyPath]]
    """Axis -> value -> where it stands; axes sorted by name. A base for all rows is an axis of one value."""
    rows: tuple[HandRow, ...]
    excludes: tuple[Exclude, ...]
    allows: tuple[Exclude, ...]
    doubted: frozenset[str]
    whole: bool
    """Nothing was left out."""
    gpus: tuple[str, ...] = ()
    drafted: bool = False
    """All rows but one were left out; that one lists everything it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A row before it has a tag."""

    combination: Combination
    values: Mapping[str, str]
    own: Combination = ()
    """What the row says of itself, if it does."""
    row: HandRow | None = None
    """The `[[row]]` it is, when it is not of the axes."""
    allow: str = ""
    allowed_at: KeyPath = ()
    """Where the first of its reasons stands."""


class Grid:
    """The rows of one family."""

    def __init__(self, declared: Declared, facts: Facts, mistakes: Mistakes) -> None:
        self.declared = declared
        self._facts = facts
        self._mistakes = mistakes
        self._clashes: dict[tuple[Consequences, Consequences], tuple[str, ...]] = {}
        self._columns = tuple(
            tuple(facts.follow(axis, value) for value in sorted(values)) for axis, values in declared.axes.items()
        )
        self._by_hand = tuple(
            (row, tuple(facts.follow(axis, row.values[axis]) for axis in declared.axes), _own(row, facts))
            for row in declared.rows
        )
        destination = declared.family.destination
        self._destination: Combination = ()
        if destination:
            self._destination = (facts.of(("destinations", destination.name), destination.facts),)
        by_hand = ((*combination, *own) for _, combination, own in self._by_hand)
        self.known = _known([*self._columns, *by_hand, self._destination])
        """Every axis and fact of the family, each with all its values."""

    def cells(self) -> tuple[Cell, ...]:
        """Return the rows; rules that do nothing, promises of nothing and rows that cannot be are noted."""
        self._note_idle_promises()
        rules = exclusions(self.declared.excludes, self.known, self._mistakes, is_possible=self.may_be)
        allows = exclusions(self.declared.allows, self.known, self._mistakes, is_possible=self.may_be)
        cells = (*self._of_axes(rules), *self._of_rows(rules))
        if allows:
            cells = tuple(_allowed(cell, allows) for cell in cells)
        for rule in (*rules, *allows):
            if not self._in_doubt(rule):
                rule.note_idle(self._mistakes)
        if not cells and self.declared.whole:
            self._mistakes.add(self.declared.at, "the family has no rows", "every row is excluded")
        return cells

    def used(self, cells: Iterable[Cell]) -> set[Consequences]:
        """Return every value of the given rows, and of those written by hand."""
        by_hand = ((*combination, *own) for _, combination, own in self._by_hand)
        return set(chain.from_iterable(chain((cell.combination for cell in cells), by_hand, [self._destination])))

    def may_be(self, name: str) -> bool:
        """Whether a name that no row has may be one of what was left out of the declaration."""
        return not self.declared.whole and self._facts.is_named(name)

    def _note_idle_promises(self) -> None:
        declared = self.declared
        for index, name in enumerate(declared.family.promises or ()):
            if name not in self.known and not declared.drafted and not self.may_be(name):
                at = (*declared.at, "promises", index)
                self._mistakes.add(at, f"no row has an axis or fact {name!r}", did_you_mean(name, self.known))

    def _in_doubt(self, rule: Exclusion) -> bool:
        """Whether a value that was left out may be the one the rule is for: of a doubted axis, or a fact of it."""
        declared = self.declared
        if declared.whole:
            return False
        doubtful = any(name in declared.doubted or name not in declared.axes for name in rule.names)
        return doubtful or not all(self._columns)

    def _of_axes(self, rules: Sequence[Exclusion]) -> Iterator[Cell]:
        for combination in product(*self._columns):
            parts = self._destination + combination
            values, clashes = self._merge(parts)
            if _hits(rules, parts, values, has_clashes=bool(clashes)):
                continue
            self._note_clashes(clashes)
            yield Cell(combination=combination, values=self._with_gpus(values))

    def _of_rows(self, rules: Sequence[Exclusion]) -> Iterator[Cell]:
        seen: dict[Combination, KeyPath] = {}
        for row, combination, own in self._by_hand:
            parts = self._destination + combination + own
            values, clashes = self._merge(parts)
            hits = _hits(rules, parts, values, has_clashes=bool(clashes))
            for rule in hits:
                what = f"an exclude forbids this row: {rule.exclude.reason}"
                self._mistakes.add(row.at, what, "remove the row or narrow the exclude", other=rule.exclude.at)
            if not hits and not self._is_repeated(row, seen.get(combination)):
                self._note_clashes(clashes)
                yield Cell(
                    combination=combination,
                    values=self._with_gpus(values, row),
                    own=own,
                    row=row,
                    allow=row.allow,
                    allowed_at=(*row.at, "allow"),
                )
            seen.setdefault(combination, row.at)

    def places(self, cell: Cell) -> Mapping[str, KeyPath]:
        """Return where the values of a row are written: those of its axes, and of what it says itself."""
        if cell.row:
            places = {axis: (*cell.row.at, axis) for axis in self.declared.axes}
        else:
            places = {part.axis: self.declared.axes[part.axis][part.value] for part in cell.combination}
        if cell.row and cell.row.impossible:
            places["impossible"] = (*cell.row.at, "impossible")
        if named := self._gpus(cell.row):
            places[gpus.KEY] = named[1]
        return {**places, "allow": cell.allowed_at} if cell.allow else places

    def _gpus(self, row: HandRow | None) -> tuple[tuple[str, ...], KeyPath] | None:
        """Return the GPUs of a row, and where they are named: by itself, else its family, else its destination."""
        family, destination = self.declared, self.declared.family.destination
        said = (
            (row.gpus if row else (), row.at if row else ()),
            (family.gpus, family.at),
            (destination.gpus if destination else (), ("destinations", destination.name) if destination else ()),
        )
        return next(((named, (*at, gpus.KEY)) for named, at in said if named), None)

    def _with_gpus(self, values: Mapping[str, str], row: HandRow | None = None) -> Mapping[str, str]:
        named = self._gpus(row)
        return {**values, gpus.KEY: " ".join(named[0])} if named else values

    def origins(self, cell: Cell) -> tuple[Mapping[str, KeyPath], ...]:
        """Return where the facts of a row are written, by each value they follow from."""
        return tuple(part.origins for part in (*cell.combination, *cell.own, *self._destination))

    def _is_repeated(self, row: HandRow, earlier: KeyPath | None) -> bool:
        axes = self.declared.axes
        if earlier:
            self._mistakes.add(row.at, "this row is given twice", "remove one of them", other=earlier)
        elif all(row.values[axis] in values for axis, values in axes.items()):
            what = "this row is given twice: the axes already give it"
            self._mistakes.add(row.at, what, "remove it", other=(*self.declared.at, "axes"))
        else:
            return False
        return True

    def _merge(self, parts: Combination) -> tuple[dict[str, str], list[tuple[Consequences, Consequences]]]:
        values: dict[str, str] = {}
        size = 0
        for part in parts:
            values.update(part.values)
            size += len(part.values)
        if len(values) == size:  # nothing overlaps: the usual case, and nearly all of the time
            return values, []
        return values, [pair for pair in combinations(parts, 2) if self._clash(pair)]

    def _clash(self, pair: tuple[Consequences, Consequences]) -> tuple[str, ...]:
        names = self._clashes.get(pair)
        if names is None:
            names = self._clashes[pair] = clash(*pair)
        return names

    def _note_clashes(self, clashes: Iterable[tuple[Consequences, Consequences]]) -> None:
        for pair in clashes:
            for name in self._clash(pair):
                places = [(part.origins[name] or self._place(part), part.values[name]) for part in pair]
                # The problem is reported at the fact, not at the axis.
                (other, theirs), (at, ours) = sorted(places, key=lambda place: (place[0][0] == "facts", str(place[0])))
                self._mistakes.add(at, f"{ours!r} contradicts {name} = {theirs!r}", AGREE, other=other)

    def _place(self, part: Consequences) -> KeyPath:
        """Return where a value is written: among the axes, or in the first row that has it."""
        for row in self.declared.rows:
            if row.values[part.axis] == part.value:
                return self.declared.axes[part.axis].get(part.value, (*row.at, part.axis))
        return self.declared.axes[part.axis][part.value]


def _own(row: HandRow, facts: Facts) -> Combination:
    return (facts.of(row.at, row.facts),) if row.facts else ()


def _hits(
    rules: Iterable[Exclusion],
    parts: Combination,
    values: Mapping[str, str],
    *,
    has_clashes: bool,
) -> list[Exclusion]:
    """Return the rules that exclude a row, each marked as used."""
    hits = [rule for rule in rules if rule.matches(values)]
    if has_clashes:
        # What a person chose for an axis wins over a fact that says otherwise: that is reported, not excluded.
        chosen = {part.axis: part.value for part in parts}
        candidates = [{**part.values, **chosen} for part in parts]
        hits = [rule for rule in rules if rule.may_match(candidates)]
    for rule in hits:
        rule.used = True
    return hits


def _allowed(cell: Cell, allows: Iterable[Exclusion]) -> Cell:
    """Return a row with the reasons of all that allow it to be broken; an impossible row is allowed nothing."""
    if cell.row and cell.row.impossible:
        return cell
    hits = [rule for rule in allows if rule.matches(cell.values)]
    for rule in hits:
        rule.used = True
    reasons = dict.fromkeys((*filter(None, [cell.allow]), *(rule.exclude.reason for rule in hits)))
    if not hits:
        return cell
    return replace(cell, allow="; ".join(reasons), allowed_at=cell.allowed_at if cell.allow else hits[0].exclude.at)


def _known(columns: Iterable[Iterable[Consequences]]) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for part in set(chain.from_iterable(columns)):
        for name, value in part.values.items():
            known.setdefault(name, set()).add(value)
    return known
