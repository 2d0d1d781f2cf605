"""What the reports of runs say of nodes and names: the last nights' are needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC

from imagematrix.model import Key
from imagematrix.text import documents
from imagematrix.text.documents import Aware, DamagedError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    image: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What a clean-up wants to know of a report.json."""

    started: Aware
    nodes: tuple[_Keyed, ...]
    leaves: tuple[_Named, ...] = ()
    pushes: tuple[_Named, ...] = ()


def _run(text: str) -> _Run | None:
    """Read the report of a run; None if imagematrix did not write it."""
    try:
        return documents.read(text, _Run)
    except DamagedError:
        return None


def nights(runs: Mapping[str, str], count: int, *, now: float) -> tuple[str, ...]:
    """Return the names of the runs (name -> text of its report.json) of the last so many nights, latest first.

    A night is a day, in UTC, on which a run began. What cannot be read is of no night, nor is what is dated after
    `now`, in seconds since 1970.
    """
    read = {name: run for name, text in runs.items() if (run := _run(text))}
    begun = {name: run.started for name, run in read.items() if not documents.is_future(run.started, now=now)}
    days = sorted({_day(started) for started in begun.values()}, reverse=True)[:count]
    return tuple(sorted((name for name in begun if _day(begun[name]) in days), key=begun.__getitem__, reverse=True))


def _day(moment: Aware) -> str:
    return moment.astimezone(UTC).date().isoformat()


def keys(runs: Iterable[str]) -> frozenset[Key]:
    """Return the nodes that the reports of runs are about."""
    return frozenset(node.key for text in runs if (run := _run(text)) for node in run.nodes)


def repositories(runs: Iterable[str]) -> frozenset[str]:
    """Return where runs named images, by their reports."""
    named = [leaf.image for text in runs if (run := _run(text)) for leaf in run.leaves]
    return frozenset(repository(name) for name in named if name)


def node_repositories(runs: Iterable[str]) -> frozenset[str]:
    """Return where runs pushed nodes, by their reports."""
    named = [push.name for text in runs if (run := _run(text)) for push in run.pushes]
    return frozenset(repository(name) for name in named if name)


def repository(name: str) -> str:
    """Return an image's name without its tag."""
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
