"""Finds what plugins add: `imagematrix_plugins.py` beside the matrix, and entry points of installed wheels.

Both are modules with the same tables (`PluginTable`). Every command loads installed wheels: who runs it installed them.
The file of a monorepo is code of the checkout: only commands that run the checkout's code anyway load it. `check`,
`plan` and `render` read the names of its tables without running it, so it cannot add what they need.
"""

import ast
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from types import ModuleType
from typing import Final

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError, did_you_mean
from imagematrix.model import Extensions, Notifier

FILE: Final = "imagematrix_plugins.py"
GROUP: Final = "imagematrix.plugins"
_CODE: Final = "plugin"
_OWN_FILES: Final = frozenset({"index.html", "report.json", "junit.xml", "summary.md", "catalogue.html"})


class PluginTable(StrEnum):
    """The names of the tables in a plugin's module."""

    VERSION_RULES = "VERSION_RULES"
    NAMING_RULES = "NAMING_RULES"
    REPORT_FORMATS = "REPORT_FORMATS"
    NOTIFIERS = "NOTIFIERS"
    EXECUTORS = "EXECUTORS"


OF_WHEELS: Final = frozenset({PluginTable.VERSION_RULES, PluginTable.NAMING_RULES})
"""Tables that commands need which must not run the code of a checkout."""
_INSTEAD: Final = {
    PluginTable.VERSION_RULES: "write what is broken into compat/breakage.toml, or make a wheel with this table",
    PluginTable.NAMING_RULES: "make a wheel with this table",
}


def declared(text: str, *, file: str = FILE) -> Mapping[PluginTable, int]:
    """Return the tables of a monorepo's plugin and their lines, without running it.

    Raises InputError for text that is not Python, for a table that does not exist, and for one that only wheels add.
    """
    try:
        tree = ast.parse(text, filename=file)
    except (SyntaxError, ValueError) as error:
        raise InputError(
            [_wrong(file, f"is not valid Python: {error}", line=getattr(error, "lineno", 0) or 0)]
        ) from None
    lines = {name: line for name, line in _assigned(tree) if name.isupper() and not name.startswith("_")}
    problems = [found for name, line in lines.items() for found in _refused(name, file, line)]
    if problems:
        raise InputError(problems)
    return {PluginTable(name): line for name, line in lines.items() if name in {*PluginTable}}


def _assigned(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from ((target.id, node.lineno) for target in targets if isinstance(target, ast.Name))


def _refused(name: str, file: str, line: int) -> Iterator[Diagnostic]:
    """Report a name that is nearly that of a table; other constants are the plugin's own."""
    hint = did_you_mean(name, [table.value for table in PluginTable])
    if name in OF_WHEELS:
        what = f"{name} of a monorepo are not used: `check` would have to run the code of an unreviewed checkout"
        yield _wrong(file, what, hint=_INSTEAD[PluginTable(name)], line=line)
    elif name not in {*PluginTable} and hint.startswith("did you mean"):
        yield _wrong(file, f"there is no table {name}", hint=hint, line=line)


def of_file(text: str, *, file: str = FILE) -> Extensions:
    """Run a monorepo's plugin and return what it adds. Raises InputError for what it raises, and for wrong tables."""
    lines = declared(text, file=file)
    module = ModuleType("imagematrix_plugins")
    module.__file__ = file
    try:
        exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102  # it is code, as checks and rules are
    except Exception as error:  # noqa: BLE001  # foreign code may raise anything
        raise InputError([_raised(error, file)]) from None
    return _read(module, file=file, lines=lines)


@cache
def installed() -> Extensions:
    """Return what installed wheels add. Raises InputError for one that cannot be loaded, and for names given twice."""
    found = Collector()
    seen: dict[tuple[str, str], str] = {}
    together = Extensions()
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        added = found.attempt(lambda point=point: _of_wheel(point))  # type: ignore[misc]  # bound at once
        if added:
            found.diagnostics += _twice(added, seen, _source(point))
            together = merged(together, added)
    if found.diagnostics:
        raise InputError(found.diagnostics)
    return together


def merged(below: Extensions, above: Extensions) -> Extensions:
    """Return two plugins' extensions together; of one name the second's stands, as a monorepo's layer does."""
    names = [field.name for field in fields(Extensions)]
    return replace(below, **{name: {**getattr(below, name), **getattr(above, name)} for name in names})


def _of_wheel(point: EntryPoint) -> Extensions:
    source = _source(point)
    try:
        module = point.load()
    except Exception as error:  # noqa: BLE001
        raise InputError([_raised(error, source)]) from None
    return _read(module, file=source, lines={})


def _source(point: EntryPoint) -> str:
    wheel = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed wheel"
    return f"{point.value} ({wheel})"


def _twice(added: Extensions, seen: dict[tuple[str, str], str], source: str) -> Iterator[Diagnostic]:
    for kind in (field.name for field in fields(Extensions)):
        for name in getattr(added, kind):
            other = seen.setdefault((kind, name), source)
            if other != source:
                yield _wrong(source, f"{kind.upper()} has {name!r}, and so has {other}", hint="uninstall one of them")


def _read(module: object, *, file: str, lines: Mapping[PluginTable, int]) -> Extensions:
    """Return the tables of a module. Raises InputError with everything that is wrong with them."""
    problems: list[Diagnostic] = []
    found: dict[str, Mapping[str, object]] = {}
    for table in PluginTable:
        values = getattr(module, table, {})
        wrong = [*_faults(table, values)]
        problems += [_wrong(file, what, hint=hint, line=lines.get(table, 0)) for what, hint in wrong]
        found[table.lower()] = {} if wrong else dict(values)
    if problems:
        raise InputError(problems)
    return Extensions(**found)  # type: ignore[arg-type]  # checked one by one


def _faults(table: PluginTable, values: object) -> Iterator[tuple[str, str]]:
    if not isinstance(values, Mapping):
        yield f"{table} is not a table", f'expected {table} = {{"NAME": …}}'
        return
    is_valid, hint = _EXPECTED[table]
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            yield f"{table}: the name {name!r} is not a text", f'expected {table} = {{"NAME": …}}'
        elif not is_valid(value):
            yield f"{table}: {name!r} is a {type(value).__name__}", hint
        elif table is PluginTable.REPORT_FORMATS and name in _OWN_FILES:
            yield f"{table}: {name!r} is a file of every report", "choose another name"
        elif table is PluginTable.REPORT_FORMATS and PurePosixPath(name).name != name:
            yield (
                f"{table}: {name!r} is not the name of a file",
                "it lies in the report's directory: expected, say, rows.csv",
            )


def _is_notifier(value: object) -> bool:
    return isinstance(value, Notifier)


_EXPECTED: Final[Mapping[PluginTable, tuple[Callable[[object], bool], str]]] = {
    PluginTable.VERSION_RULES: (callable, "expected a function whose parameters name values of a row"),
    PluginTable.NAMING_RULES: (
        callable,
        "expected a function of a repository's name that returns what is wrong with it",
    ),
    PluginTable.REPORT_FORMATS: (callable, "expected a function of a run that returns a text"),
    PluginTable.NOTIFIERS: (_is_notifier, "expected a Notifier (from imagematrix.plugins)"),
    PluginTable.EXECUTORS: (callable, "expected a function of the engine's executor that returns an executor"),
}


def _raised(error: Exception, file: str) -> Diagnostic:
    """Return what a plugin raised, with its line if that is in its own file."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    what = f"the plugin cannot be loaded: {type(error).__name__}: {error}"
    return _wrong(file, what, hint="correct it, or remove it", line=lines[-1] if lines else 0)


def _wrong(file: str, message: str, *, hint: str = "", line: int = 0) -> Diagnostic:
    return Diagnostic(code=_CODE, file=file, line=line, message=message, hint=hint)
