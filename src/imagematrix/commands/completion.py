"""What shells complete a command line with: commands, flags, and the names of the project's rows, groups and layers.

A shell asks at each press of a key, so nothing of a project is opened here: names come from the text of its matrix and
from its folders. A matrix that cannot be read completes nothing; commands report what is wrong with it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from invoke import Task

from imagematrix.commands.command import Command, Option, dashed
from imagematrix.errors import InputError
from imagematrix.text import toml_text
from imagematrix.tree import nearest_matrix

_LAYERS: Final = "common/layers"
_STOCK: Final = Path(__file__).parents[1] / "stock" / _LAYERS
_FILE: Final = "file"


class ProjectNames:
    """The names of a project."""

    def __init__(self, matrix_file: str) -> None:
        path = Path(matrix_file or nearest_matrix())
        self._root = path.absolute().parent
        self._document = _document(path)

    def of(self, kind: str, words: Sequence[str]) -> Iterable[str]:
        """Return the names of a kind, where a command line has some words already."""
        return NAMES[kind](self, words)

    def rows(self, _: Sequence[str]) -> Iterable[str]:
        """Return the rows that have a leaf, as `family:tag`."""
        for family in _folders(self._root / "images"):
            yield from (f"{family.name}:{leaf.name}" for leaf in _folders(family))

    def groups(self, _: Sequence[str]) -> Iterable[str]:
        return (group for family in self._table("families").values() for group in _list(family, "groups"))

    def sites(self, _: Sequence[str]) -> Iterable[str]:
        return self._table("sites")

    def platforms(self, _: Sequence[str]) -> Iterable[str]:
        families = [family for family in self._table("families").values() if isinstance(family, dict)]
        return (name for table in (self._document, *families) for name in _list(table, "platforms"))

    def destinations(self, _: Sequence[str]) -> Iterable[str]:
        return self._table("destinations")

    def layers(self, words: Sequence[str]) -> Iterable[str]:
        return (*self.stock_layers(words), *(folder.name for folder in _folders(self._root / _LAYERS)))

    def stock_layers(self, _: Sequence[str]) -> Iterable[str]:
        return (folder.name for folder in _folders(_STOCK) if (folder / "Dockerfile.j2").is_file())

    def copied_layers(self, _: Sequence[str]) -> Iterable[str]:
        return (folder.name for folder in _folders(self._root / _LAYERS) if (folder / ".copied").is_file())

    def row_words(self, words: Sequence[str]) -> Iterable[str]:
        """Return families; behind one, its axes with the values that they have, `torch=2.4.1`, and its platforms."""
        families = self._table("families")
        family = families.get(words[0]) if words else None
        if not isinstance(family, dict):
            return families
        given = {word.partition("=")[0] for word in words[1:]}
        pairs = (*_row_values(family), *(("platforms", name) for name in self.platforms(())))
        return (f"{axis}={value}" for axis, value in pairs if axis not in given)

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self._document.get(name)
        return table if isinstance(table, dict) else {}


NAMES: Final[Mapping[str, Callable[[ProjectNames, Sequence[str]], Iterable[str]]]] = {
    "copied layers": ProjectNames.copied_layers,
    "groups": ProjectNames.groups,
    "layers": ProjectNames.layers,
    "destinations": ProjectNames.destinations,
    "platforms": ProjectNames.platforms,
    "row words": ProjectNames.row_words,
    "rows": ProjectNames.rows,
    "sites": ProjectNames.sites,
    "stock layers": ProjectNames.stock_layers,
}
"""Kind of names -> where they come from."""


def candidates(words: Sequence[str], tasks: Mapping[str, Task[Any]]) -> list[str]:
    """Return what the last word of a command line may become, sorted; `tasks` are those of the program, by name.

    Nothing where the word may be a file: shells know those.
    """
    *before, partial = words or [""]
    at, task = _current(before, tasks)
    found = {word for word in _possible(before[at + 1 :], partial, task, tasks) if word.startswith(partial)}
    return sorted(found)


def _possible(
    given: Sequence[str], partial: str, task: Task[Any] | None, tasks: Mapping[str, Task[Any]]
) -> Iterator[str]:
    if task is None:
        yield from tasks
        return
    options = _options(task)
    last = options.get(given[-1]) if given else None
    name, is_joined, _ = partial.partition("=")
    if last and _takes_word(last):
        yield from _values(last, task, given)
    elif is_joined and name in options:
        yield from (f"{name}={value}" for value in _values(options[name], task, given))
    elif partial.startswith("-"):
        yield from options if isinstance(task, Command) else _flags(task)
    else:
        words = next((option for option in options.values() if option.varargs), None)
        yield from _values(words, task, given, words=_words(given, options)) if words else tasks


def _current(before: Sequence[str], tasks: Mapping[str, Task[Any]]) -> tuple[int, Task[Any] | None]:
    """Return the last command of a line and where it is; what a flag or a command takes as a word is none."""
    at, task, options = -1, None, dict[str, Option]()
    for number, word in enumerate(before):
        is_value = number > at + 1 and before[number - 1] in options and _takes_word(options[before[number - 1]])
        takes_words = any(option.varargs for option in options.values())
        if word in tasks and not is_value and not takes_words:
            at, task = number, tasks[word]
            options = _options(task)
    return at, task


def _options(task: Task[Any]) -> dict[str, Option]:
    """Return the flags of a command: `--only` -> its option; of another task none."""
    return {f"--{dashed(name)}": option for name, option in task.options.items()} if isinstance(task, Command) else {}


def _flags(task: Task[Any]) -> Iterator[str]:
    """Yield the flags of a task that is not one of ours."""
    return (f"--{name}" for argument in task.get_arguments() for name in argument.names if len(name) > 1)


def _takes_word(option: Option) -> bool:
    return option.kind is not bool and not option.value_optional and not option.varargs


def _words(given: Sequence[str], options: Mapping[str, Option]) -> list[str]:
    """Return those of some words that are neither flags nor their values."""
    pairs = zip(["", *given], given, strict=False)
    return [
        word
        for flag, word in pairs
        if not word.startswith("-") and not (flag in options and _takes_word(options[flag]))
    ]


def _values(option: Option, task: Task[Any], given: Sequence[str], *, words: Sequence[str] = ()) -> Iterable[str]:
    if not option.names:
        return () if words and option.varargs else option.choices
    return ProjectNames(_matrix_file(task, given)).of(option.names, words)


def _matrix_file(task: Task[Any], given: Sequence[str]) -> str:
    """Return the matrix file of a command line; empty: the nearest one."""
    named = [value for flag, value in pairwise(given) if flag == f"--{_FILE}"]
    default = task.options[_FILE].default if isinstance(task, Command) and _FILE in task.options else ""
    return named[-1] if named else str(default)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        return toml_text.read(path.read_text(encoding="utf-8-sig"), file=path.name)
    except (InputError, OSError, UnicodeError):
        return {}


def _folders(path: Path) -> list[Path]:
    try:
        return [each for each in sorted(path.iterdir()) if each.is_dir() and not each.name.startswith((".", "__"))]
    except OSError:
        return []


def _row_values(family: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the rows of a family consist of: axis and value, as `axes` and the single rows have them."""
    axes, rows = family.get("axes"), family.get("row")
    for axis in axes if isinstance(axes, dict) else ():
        yield from ((axis, value) for value in _list(axes, axis))
    for row in rows if isinstance(rows, list) else ():
        yield from ((name, value) for name, value in row.items() if isinstance(value, str) and name != "allow")


def _list(table: object, key: str) -> list[str]:
    found = table.get(key) if isinstance(table, dict) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
