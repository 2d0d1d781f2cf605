"""The packages that a row names beside its framework: imported, not only installed."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from imagematrix.verify.interpreter import Interpreter

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")

_IMPORTED: Final = """\
import importlib, os
try:
    from importlib.metadata import distribution
except ImportError:  # before Python 3.8
    from pkg_resources import get_distribution
    def found(name):
        each = get_distribution(name)
        return each.version, each.get_metadata("top_level.txt").split()
else:
    def found(name):
        each = distribution(name)
        listed = (each.read_text("top_level.txt") or "").split()
        paths = [str(path).split("/") for path in each.files or ()]
        return each.version, listed or [
            parts[0].split(".")[0] for parts in paths if parts[1:] == ["__init__.py"] or parts[0].endswith(".py")
        ]
inside = {{"protobuf": ["google.protobuf"]}}  # where the top level is a namespace

def imported(name):
    version, modules = found(name)
    for module in inside.get(name, modules):
        if not module.startswith("_"):
            importlib.import_module(module)
    return version

def tried(name):
    try:
        return imported(name).split("+")[0]
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)

result = {{name: tried(name) for name in {names!r}}}
"""


def named(row: Mapping[str, str], locked: Mapping[str, str], companions: Collection[str] = ()) -> Mapping[str, str]:
    """Return the versions of the packages that a row names: of its companions, and of its pins as they are locked."""
    pinned = [found[0].lower() for pin in row.get("pins", "").split() if (found := _NAME.match(pin))]
    versions = {name: row[name] for name in companions if name in row}
    return {name: locked[name].partition("+")[0] for name in pinned if name in locked} | versions


def imported(python: Interpreter, names: Collection[str]) -> Mapping[str, str]:
    """Import packages; return the version of each, or what went wrong."""
    result: Mapping[str, str] = python.run("companions", _IMPORTED.format(names=list(names)))
    return result
