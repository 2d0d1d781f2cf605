"""Which steps become one layer: the beginning that several Dockerfiles have in common, and what each has beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imagematrix.planning.importing.images import ImportedStep

Recipe = tuple[ImportedStep, ...]
"""The steps of one Dockerfile, with those of the images that it is built on."""
_WORK: Final = frozenset({"RUN", "COPY", "ADD"})
"""What is worth a layer of its own where it is shared: the rest takes no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Steps that are one layer of some recipes."""

    start: int
    end: int
    members: tuple[int, ...]
    """The recipes that have it, by their places in the list."""


def segments(recipes: Sequence[Recipe]) -> list[Segment]:
    """Return the layers of recipes, lower ones before those on top of them. No two recipes are the same."""
    everyone = tuple(range(len(recipes)))
    parted = _parted(recipes, everyone, 0) if recipes else ()
    return [each for found in parted for each in _single(recipes, found)]


def _parted(recipes: Sequence[Recipe], members: tuple[int, ...], start: int) -> Iterator[Segment]:
    end = _common(recipes, members, start)
    cut = end if len(members) == 1 else _worthwhile(recipes[members[0]], start, end)
    if cut > start:
        yield Segment(start=start, end=cut, members=members)
    groups: dict[object, list[int]] = {}
    for member in members:
        steps = recipes[member]
        if len(steps) > cut:
            groups.setdefault(steps[end].identity if len(steps) > end else None, []).append(member)
    for group in groups.values():
        yield from _parted(recipes, tuple(group), cut)


def _common(recipes: Sequence[Recipe], members: Sequence[int], start: int) -> int:
    """Return how far recipes are the same."""
    first, *others = (recipes[member] for member in members)
    end = start
    while end < len(first) and all(len(other) > end and other[end].identity == first[end].identity for other in others):
        end += 1
    return end


def _worthwhile(steps: Recipe, start: int, end: int) -> int:
    """Return where a shared layer ends: arguments at its end belong to what comes next, and it must do some work."""
    while end > start and steps[end - 1].argument:
        end -= 1
    return end if any(step.whole or step.word in _WORK for step in steps[start:end]) else start


def _single(recipes: Sequence[Recipe], found: Segment) -> Iterator[Segment]:
    """Part a segment where a layer must end: around a whole Dockerfile, and where arguments no longer count."""
    steps, start = recipes[found.members[0]], found.start
    for at in range(found.start + 1, found.end):
        if steps[at].whole or steps[at - 1].whole or (steps[at].begins and any(_in_scope(steps, at))):
            yield Segment(start=start, end=at, members=found.members)
            start = at
    yield Segment(start=start, end=found.end, members=found.members)


def _in_scope(steps: Recipe, at: int) -> Iterator[str]:
    """Yield the arguments of the stage that ends before a step."""
    for step in reversed(steps[:at]):
        yield from [step.argument] if step.argument else []
        if step.begins:
            return
