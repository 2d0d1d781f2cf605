"""The tables of facts: `[facts.torch."2.4.1"]`; on one Docker platform `[facts."linux/arm64".torch."2.4.1"]`."""

from collections.abc import Collection, Iterator

from imagematrix.matrix import gpus
from imagematrix.matrix.facts import Fact, Pair
from imagematrix.text import platforms
from imagematrix.text.shape import Table, check_variables


def told_apart(facts: Table) -> tuple[list[str], list[str]]:
    """Return the Docker platforms that have facts of their own, and the axes whose facts hold for all."""
    named = [name for name in facts if "/" in name]
    for name in named:
        if not platforms.is_platform(name):
            facts.wrong(name, f"{name!r} is not a valid Docker platform", platforms.RULE)
    return [name for name in named if platforms.is_platform(name)], [name for name in facts if name not in named]


def read(facts: Table, axes: Collection[str] | None = None) -> dict[Pair, tuple[Fact, ...]]:
    """Return the facts of some axes, by default of all: axis and value -> facts."""
    found: dict[Pair, tuple[Fact, ...]] = {}
    for axis in facts if axes is None else axes:
        by_value = facts.table(axis)
        for key in by_value:
            for value, table in _by_value(by_value.table(key), key):
                said = tuple(name for name in table if not isinstance(table.raw(name), dict) and name != gpus.KEY)
                check_variables(table, said)
                gpus.refuse(table)
                found[axis, value] = tuple(
                    Fact(name=name, value=table.text(name), at=(*table.at, name)) for name in said
                )
    return found


def _by_value(table: Table, value: str) -> Iterator[tuple[str, Table]]:
    """Yield the facts of a value; those of `[facts.torch.2.3.0]`, to TOML tables in tables, as they were meant."""
    deeper = [key for key in table if isinstance(table.raw(key), dict)]
    if not deeper or len(deeper) < len(tuple(table)):
        yield value, table
    for key in deeper:
        version = f"{value}.{key}"
        for whole, inner in _by_value(table.table(key), version):
            if whole == version:
                axis = table.at[2] if "/" in str(table.at[1]) else table.at[1]
                hint = f'quote the version: [facts.{axis}."{version}"]'
                inner.wrong((), "without quotes, a version is read as nested tables", hint)
            yield whole, inner
