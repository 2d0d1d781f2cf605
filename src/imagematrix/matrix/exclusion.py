"""Rules of a grid: which rows are not wanted (exclude), and which may be broken (allow)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from imagematrix.errors import did_you_mean
from imagematrix.text import versions
from imagematrix.text.locate import KeyPath
from imagematrix.text.shape import Mistakes

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude:
    """An `[[exclude]]` or `[[allow]]`: conditions that a row must all meet, and why such a row is treated so."""

    kind: str
    at: KeyPath
    conditions: Mapping[str, str]
    reason: str


@dataclass(slots=True, kw_only=True)
class Exclusion:
    """An exclude or allow resolved for one family: of each axis or fact, the values it is for."""

    exclude: Exclude
    tests: tuple[tuple[str, frozenset[str]], ...]
    known: Mapping[str, AbstractSet[str]] = field(repr=False)
    used: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The axes and facts it speaks of."""
        return tuple(name for name, _ in self.tests)

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether it matches a row with these values."""
        for name, wanted in self.tests:  # noqa: SIM110 - all() of a generator takes three times as long
            if values.get(name) not in wanted:
                return False
        return True

    def may_match(self, candidates: Sequence[Mapping[str, str]]) -> bool:
        """Whether it matches a row whose parts contradict each other: any of them may meet a condition."""
        return all(any(values.get(name) in wanted for values in candidates) for name, wanted in self.tests)

    def note_idle(self, mistakes: Mistakes) -> None:
        """Note that no row was meant, and by which condition."""
        if self.used:
            return
        hint = "no row meets all of its conditions: correct it or remove it"
        for name, wanted in self.tests:
            if not wanted:
                condition = self.exclude.conditions[name]
                hint = f"no row has {name} = {condition!r}; {name} is one of: {_listed(self.known[name])}"
                break
        mistakes.add(self.exclude.at, f"this {self.exclude.kind} matches nothing", hint)


def exclusions(
    excludes: Iterable[Exclude],
    known: Mapping[str, AbstractSet[str]],
    mistakes: Mistakes,
    *,
    is_possible: Callable[[str], bool],
) -> tuple[Exclusion, ...]:
    """Resolve excludes against the values a family has; those that cannot be are left out.

    An unknown name is noted, unless something that was left out may have had it (`is_possible`).
    """
    resolved = []
    for exclude in excludes:
        before = len(mistakes)
        unknown = [name for name in exclude.conditions if name not in known]
        for name in unknown:
            if not is_possible(name):
                mistakes.add((*exclude.at, name), "unknown axis or fact", did_you_mean(name, known))
        if unknown:
            continue
        tests = tuple((name, _wanted(exclude, name, known[name], mistakes)) for name in exclude.conditions)
        if len(mistakes) == before:
            resolved.append(Exclusion(exclude=exclude, tests=tests, known=known))
    return tuple(resolved)


def _wanted(exclude: Exclude, name: str, values: AbstractSet[str], mistakes: Mistakes) -> frozenset[str]:
    condition = exclude.conditions[name]
    if not versions.COMPARISON.match(condition):
        return frozenset((condition,)) & values
    at = (*exclude.at, name)
    meets = versions.comparison(condition)
    if meets is None:
        mistakes.add(at, f"{condition!r} is not a valid comparison", 'write it like "<2.5", ">=2.3,<2.5" or "==2.4.*"')
        return frozenset()
    verdicts = {value: meets(value) for value in sorted(values)}
    for value, verdict in verdicts.items():
        if verdict is None:
            mistakes.add(
                at, f"{condition!r} compares versions, but {value!r} is not a version", "give the value itself"
            )
    return frozenset(value for value, verdict in verdicts.items() if verdict)


def _listed(values: Iterable[str]) -> str:
    ordered = sorted(values)
    return ", ".join(ordered[:_SHOWN]) + (f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else "")
