"""A family's declaration in, its rows out: the product of its axes without what is excluded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, product
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.matrix import gpus
from imagematrix.matrix.exclusion import Exclude, Exclusion, exclusions
from imagematrix.matrix.facts import AGREE, Consequences, Facts, clash
from imagematrix.model import Family
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

PLATFORM: Final = "platform"
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
    platforms: Mapping[str, KeyPath] = field(default_factory=dict)
    """The Docker platforms that it is for, each with where it says so; empty: those of its family."""


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
    platforms: Mapping[str, KeyPath]
    """The Docker platforms of its rows, each with where it stands."""
    drafted: bool = False
    """All rows but one were left out; that one lists everything it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandCell:
    """A `[[row]]` on one of its Docker platforms, with what follows from its values there."""

    row: HandRow
    platform: str
    combination: Combination
    own: Combination
    """What the row says of itself, if it does."""

    @property
    def identity(self) -> tuple[str, Combination]:
        """What no two rows may have in common."""
        return self.platform, self.combination


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A row before it has a tag."""

    platform: str
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
        self._columns = {platform: self._columns_of(platform) for platform in declared.platforms}
        self._by_hand = tuple(
            self._hand_cell(row, platform) for row in declared.rows for platform in row.platforms or declared.platforms
        )
        self._common = {
            platform: self._common_to(platform)
            for platform in {*self._columns, *(each.platform for each in self._by_hand)}
        }
        by_hand = ((*each.combination, *each.own) for each in self._by_hand)
        self.known = _known([*chain.from_iterable(self._columns.values()), *by_hand, *self._common.values()])
        """Every axis and fact of the family, each with all its values."""

    def _columns_of(self, platform: str) -> tuple[Combination, ...]:
        """Return the values of each axis on a Docker platform."""
        axes = self.declared.axes.items()
        return tuple(
            tuple(self._facts.follow(axis, value, platform) for value in sorted(values)) for axis, values in axes
        )

    def _hand_cell(self, row: HandRow, platform: str) -> _HandCell:
        combination = tuple(self._facts.follow(axis, row.values[axis], platform) for axis in self.declared.axes)
        own = (self._facts.of(row.at, row.facts, platform),) if row.facts else ()
        return _HandCell(row=row, platform=platform, combination=combination, own=own)

    def _common_to(self, platform: str) -> Combination:
        """Return what all rows for a Docker platform have: the platform itself, and what their destination says."""
        of_platform, destination = self._facts.follow("platform", platform, platform), self.declared.family.destination
        if destination is None:
            return (of_platform,)
        return (self._facts.of(("destinations", destination.name), destination.facts, platform), of_platform)

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

    def used(self, cells: Iterable[Cell]) -> Mapping[str, set[Consequences]]:
        """Return every value of the given rows, and of those written by hand: by their Docker platforms."""
        found = {platform: set(parts) for platform, parts in self._common.items()}
        for cell in cells:
            found[cell.platform].update(cell.combination)
        for each in self._by_hand:
            found[each.platform].update(each.combination, each.own)
        return found

    def may_be(self, name: str) -> bool:
        """Whether a name that no row has may be one of what was left out of the declaration."""
        return not self.declared.whole and (name in self.declared.doubted or self._facts.is_named(name))

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
        return doubtful or not all(declared.axes.values())

    def _of_axes(self, rules: Sequence[Exclusion]) -> Iterator[Cell]:
        for platform, columns in self._columns.items():
            common = self._common[platform]
            for combination in product(*columns):
                parts = common + combination
                values, clashes = self._merge(parts)
                if _hits(rules, parts, values, has_clashes=bool(clashes)):
                    continue
                self._note_clashes(clashes)
                yield Cell(platform=platform, combination=combination, values=self._with_gpus(values))

    def _of_rows(self, rules: Sequence[Exclusion]) -> Iterator[Cell]:
        seen: dict[tuple[str, Combination], KeyPath] = {}
        judged = [(each, *self._judged(each, rules)) for each in self._by_hand]
        standing = {each.row.at for each, _, _, hits in judged if not hits}
        for each, values, clashes, hits in judged:
            row = each.row
            if hits and row.at in standing and _leaves_out(row, hits):
                continue
            for rule in hits:
                what = f"an exclude forbids this row: {rule.exclude.reason}"
                self._mistakes.add(row.at, what, "remove the row or narrow the exclude", other=rule.exclude.at)
            if not hits and not self._is_repeated(each, seen.get(each.identity)):
                self._note_clashes(clashes)
                yield Cell(
                    platform=each.platform,
                    combination=each.combination,
                    values=self._with_gpus(values, row),
                    own=each.own,
                    row=row,
                    allow=row.allow,
                    allowed_at=(*row.at, "allow"),
                )
            seen.setdefault(each.identity, row.at)

    def _judged(
        self, each: _HandCell, rules: Sequence[Exclusion]
    ) -> tuple[dict[str, str], list[tuple[Consequences, Consequences]], list[Exclusion]]:
        """Return the values of a row written by hand, what of them clashes, and the rules that exclude it."""
        parts = self._common[each.platform] + each.combination + each.own
        values, clashes = self._merge(parts)
        return values, clashes, _hits(rules, parts, values, has_clashes=bool(clashes))

    def places(self, cell: Cell) -> Mapping[str, KeyPath]:
        """Return where the values of a row are written: those of its axes and base, and of what it says itself."""
        if cell.row:
            places = {axis: (*cell.row.at, axis) for axis in self.declared.axes}
        else:
            places = {part.axis: self.declared.axes[part.axis][part.value] for part in cell.combination}
        places["bootstrap"] = ("bases", cell.values["base"], "bootstrap")
        places["platform"] = self._platform_place(cell.platform, [cell.row] if cell.row else [])
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
        return tuple(part.origins for part in (*cell.combination, *cell.own, *self._common[cell.platform]))

    def _is_repeated(self, cell: _HandCell, earlier: KeyPath | None) -> bool:
        """Whether a row is another one of those written by hand, or one of the axes; if so, that is noted."""
        row, axes = cell.row, self.declared.axes
        if earlier:
            self._mistakes.add(row.at, "this row is given twice", "remove one of them", other=earlier)
        elif cell.platform in self._columns and all(row.values[axis] in values for axis, values in axes.items()):
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
        if part.axis == "platform":
            return self._platform_place(part.value, self.declared.rows)
        for row in self.declared.rows:
            if row.values[part.axis] == part.value:
                return self.declared.axes[part.axis].get(part.value, (*row.at, part.axis))
        return self.declared.axes[part.axis][part.value]

    def _platform_place(self, platform: str, rows: Iterable[HandRow]) -> KeyPath:
        """Return where a Docker platform is named: by one of some rows, else for the whole family."""
        by_rows = (row.platforms[platform] for row in rows if platform in row.platforms)
        return next(by_rows, self.declared.platforms.get(platform, ()))


def _leaves_out(row: HandRow, hits: Iterable[Exclusion]) -> bool:
    """Whether rules exclude a row on a Docker platform that it does not name itself: there it is not wanted."""
    return not row.platforms and all(PLATFORM in rule.names for rule in hits)


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
