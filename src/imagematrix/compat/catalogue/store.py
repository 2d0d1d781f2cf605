"""The facts of `data/*.json` as the open project corrects them; a file is read when a rule first needs it.

What the functions of the catalogue return follows `use`, which `open_project` calls with the project's corrections.
Everything that is derived from the catalogue is cached by `cache` of this module, not by functools': `use` empties
those caches, so a project is never judged by the facts of another one.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from imagematrix.compat.wheels import Wheels
from imagematrix.diagnostics import Diagnostic
from imagematrix.text import versions

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_P = ParamSpec("_P")
_T = TypeVar("_T")

Document = Mapping[str, Any]
"""A data file: `_meta`, and the parts that hold its facts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a project allows to be broken: the rows that meet all conditions."""

    conditions: Mapping[str, str]
    """Axis or fact -> its value, or a comparison of versions."""
    reason: str
    file: str
    line: int

    def covers(self, values: Mapping[str, str]) -> bool:
        """Whether it covers a row with these values."""
        return all(_meets(values.get(name, ""), condition) for name, condition in self.conditions.items())


def _meets(value: str, condition: str) -> bool:
    meets = versions.comparison(condition) if versions.COMPARISON.match(condition) else None
    return meets(value) is True if meets else value == condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """What a project knows better."""

    documents: Mapping[str, Document] = field(default_factory=dict)
    """Data files that take the place of the package's, by name."""
    allowances: tuple[Allowance, ...] = ()
    idle: tuple[Diagnostic, ...] = ()
    """Entries that change nothing."""
    version_rules: tuple[Callable[..., Iterable[Diagnostic]], ...] = ()
    """Rules of plugins, beside those of the package."""


OLD_AFTER_DAYS: Final = 30
REFRESHED: Final = frozenset({"arm64", "horovod", "numpy", "paddle", "tensorflow", "tensorrt", "torch"})
"""Data files that scripts/update-compat refreshes from a package index."""

_FILES: Final = {
    **dict.fromkeys(("tensorflow-cpu", "tensorflow-gpu"), "tensorflow"),
    **dict.fromkeys(("torchvision", "torchaudio"), "torch"),
    "paddlepaddle": "paddle",
}
"""Package -> its data file, where that has another name."""

_current: Final = [Corrections()]
"""Those of the open project, alone in a list."""
_emptied: Final[list[Callable[[], None]]] = []
"""Empties each cache of what follows from the catalogue."""


def cache(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Cache a function's results, as `functools.cache` does, until the catalogue is corrected otherwise."""
    cached = functools.cache(function)
    _emptied.append(cached.cache_clear)
    return cached  # type: ignore[return-value]  # it hashes its arguments, which a ParamSpec cannot say


def use(corrections: Corrections) -> None:
    """Correct the catalogue by these, and by no others, until the next call."""
    previous, _current[0] = _current[0], corrections
    if (corrections.documents, corrections.version_rules) != (previous.documents, previous.version_rules):
        for empty in _emptied:
            empty()


def allowances() -> tuple[Allowance, ...]:
    """Return what the open project allows to be broken."""
    return _current[0].allowances


def version_rules() -> tuple[Callable[..., Iterable[Diagnostic]], ...]:
    """Return the rules of plugins."""
    return _current[0].version_rules


def idle() -> tuple[Diagnostic, ...]:
    """Return the entries of the open project that change nothing."""
    return _current[0].idle


@cache
def collected(name: str) -> str:
    """Return the day on which the sources of a data file were last looked at."""
    return str(read(name)["_meta"]["collected"])


@cache
def now() -> str:
    """Return the last day that the catalogue knows of: what "now" means to rules, which read no clock."""
    return max(map(collected, names()))


def days() -> Mapping[str, date]:
    """Return the days on which the sources of all data files were last looked at."""
    return {name: date.fromisoformat(collected(name)) for name in names()}


def outdated(days: Mapping[str, date], today: date) -> Mapping[str, int]:
    """Return which data files are too old on a day, and how many days old they are, the oldest first."""
    ages = {name: (today - day).days for name, day in days.items()}
    return {name: age for name, age in sorted(ages.items(), key=lambda each: -each[1]) if age > OLD_AFTER_DAYS}


def outlook(name: str) -> str:
    """Return in words how old a data file is, and what to do about something that is too new for it."""
    ways = ["run scripts/update-compat"] if name in REFRESHED else []
    ways += ["upgrade imagematrix", f"or add it to compat/{name}.toml"]
    return f"the catalogue's facts of {name} are of {collected(name)}: {', '.join(ways)}"


def wheels(package: str, pythons: Mapping[str, Iterable[str]], *, file: str = "") -> Wheels:
    """Return the Pythons of a package's releases, with what to say of releases that the catalogue does not know."""
    horizon = read("python")["python"][-1]["python"]
    return Wheels.of(package, pythons, horizon=horizon, outlook=outlook(file or _FILES.get(package, package)))


def read(name: str) -> Document:
    """Return a data file as the open project corrects it."""
    return _current[0].documents.get(name) or packaged(name)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the data files."""
    return tuple(sorted(path.name.removesuffix(".json") for path in _data().iterdir()))


@functools.cache
def packaged(name: str) -> Document:
    """Return a data file as the package has it."""
    document: Document = json.loads(_data().joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return document


def _data() -> "Traversable":
    from importlib import resources

    return resources.files("imagematrix.compat").joinpath("data")
