"""Rows near to an impossible one: those that exist, and those that would work."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations, product
from typing import Final

from imagematrix.compat import catalogue, others, torch
from imagematrix.compat.rules import findings
from imagematrix.diagnostics import Severity
from imagematrix.model import Row
from imagematrix.text.versions import version

OFFERS: Final = 3
"""More than these are no help."""

_CHANGES: Final = (1, 2)
"""How many axes are changed: first one and, only where that does not help, two."""
_PARTS: Final = 3
_MANY: Final = 1000
"""More than a part of a version counts."""
_NUMBER: Final = re.compile(r"(\d+)")

Distance = tuple[int, ...]
"""Smaller is nearer."""


def works(row: Row) -> bool:
    """Whether nothing speaks against a row."""
    return not row.impossible and not any(finding.severity.is_error for finding in findings(row))


def existing(axes: Mapping[str, str], rows: Iterable[Row]) -> Row | None:
    """Return the row among these that works and is nearest to some values: most are equal, the others close."""
    ranked = sorted((_distance(axes, row.axes), row.name, row) for row in rows if row.axes.keys() == axes.keys())
    return next((row for _, _, row in ranked if works(row)), None)


def offers(
    axes: Mapping[str, str],
    known: Mapping[str, Iterable[str]],
    draft: Callable[[Mapping[str, str]], Row | None],
    suits: Callable[[Row], bool],
) -> tuple[Row, ...]:
    """Return rows that would work, closest first, at most one for each choice of axes to change.

    `known` are the values of each axis; values that the catalogue knows are added. `draft` makes the row of some
    values, or nothing if that is not allowed; `suits` is called last, for as few rows as possible.
    """
    values = {axis: {*known[axis], *catalogued(axis)} - {axes[axis]} for axis in axes}
    for number in _CHANGES:
        found = [
            best
            for changed in combinations(sorted(axes), number)
            if (best := _best(axes, changed, values, draft, suits))
        ]
        if found:
            return tuple(row for _, row in sorted(found, key=lambda each: each[0])[:OFFERS])
    return ()


def _best(
    axes: Mapping[str, str],
    changed: tuple[str, ...],
    values: Mapping[str, Iterable[str]],
    draft: Callable[[Mapping[str, str]], Row | None],
    suits: Callable[[Row], bool],
) -> tuple[tuple[int, Distance, str], Row] | None:
    """Return the nearest row that works, and that as little as possible is unknown of, with its rank."""
    found = [
        ((_doubts(row), _distance(axes, row.axes), row.name), row) for row in _drafts(axes, changed, values, draft)
    ]
    return next((each for each in sorted(found, key=lambda each: each[0]) if suits(each[1])), None)


def _drafts(
    axes: Mapping[str, str],
    changed: tuple[str, ...],
    values: Mapping[str, Iterable[str]],
    draft: Callable[[Mapping[str, str]], Row | None],
) -> Iterator[Row]:
    for combination in product(*(sorted(values[axis]) for axis in changed)):
        row = draft({**axes, **dict(zip(changed, combination, strict=True))})
        if row and works(row):
            yield row


def _doubts(row: Row) -> int:
    return sum(finding.severity is Severity.UNKNOWN for finding in findings(row))


def catalogued(axis: str) -> tuple[str, ...]:
    """Return the values that the catalogue knows for an axis, oldest first."""
    match axis:
        case "python":
            wheels = (catalogue.torch_wheels(), catalogue.tensorflow_wheels("tensorflow"), catalogue.paddle_wheels())
            pythons = {python for each in wheels for on in each.pythons.values() for python in on}
            return tuple(sorted(pythons, key=lambda python: tuple(map(int, python.split(".")))))
        case "torch":
            return tuple(catalogue.torch_wheels().pythons)
        case "torchvision" | "torchaudio":
            return tuple(catalogue.partners(axis))
        case "tensorflow":
            return tuple(catalogue.tensorflow_wheels("tensorflow").pythons)
        case "paddle":
            return tuple(catalogue.paddle_wheels().pythons)
        case "horovod":
            return tuple(catalogue.horovod())
        case "tensorrt":
            return tuple(catalogue.tensorrt_wheels().pythons)
        case _:
            return ()


def fact(axis: str, value: str, name: str, *, build: str = "", python: str = "") -> str:
    """Return what goes with a value, as `torchvision` with a torch (of a build, on a Python); empty: not known."""
    match axis, name:
        case "torch", ("torchvision" | "torchaudio"):
            return torch.partner(name, value, build, python)
        case "python", "miniconda":
            return others.newest_installer(value)
        case _:
            return ""


def _distance(one: Mapping[str, str], other: Mapping[str, str]) -> Distance:
    """Return how far values lie apart: how many axes, then the versions; the newer of two is the nearer."""
    differing = [axis for axis in sorted(one) if one[axis] != other[axis]]
    steps = [_step(one[axis], other[axis]) for axis in differing]
    return (len(differing), *(sum(parts) for parts in zip(*steps, strict=True)))


def _step(one: str, other: str) -> Distance:
    """Return the difference of two versions by parts, and whether the other is older; of names, by their numbers."""
    left, right = version(one), version(other)
    if left and right:
        return (*_gap(_parts(left.release), _parts(right.release)), right < left)
    words, others = _NUMBER.split(one), _NUMBER.split(other)
    if words[::2] == others[::2]:
        numbers = [int(a) - int(b) for a, b in zip(words[1::2], others[1::2], strict=True)]
        return (0, sum(map(abs, numbers)), 0, sum(numbers) > 0)
    return (1, 0, 0, 0)


def _gap(one: Distance, other: Distance) -> Distance:
    """Return the difference of the first part that differs; of those behind it, how far they are on the other's way.

    From 2.3.0, 2.5.0 is nearer than 2.5.1, and 2.1.2 nearer than 2.1.0.
    """
    first = next((at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
    if first == len(one):
        return (0,) * _PARTS
    behind = other[first + 1 :] if other > one else [_MANY - part for part in other[first + 1 :]]
    return (*(0,) * first, abs(one[first] - other[first]), *behind)


def _parts(release: tuple[int, ...]) -> tuple[int, ...]:
    return (*release, *(0 for _ in range(_PARTS)))[:_PARTS]
