"""The order of the modules: who may know of whom, and where each library is at home (docs/design.md)."""

import ast
import graphlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from imagematrix.repository import STOCK

SOURCE: Final = Path(__file__).parents[2] / "src"
PACKAGE: Final = "imagematrix"
TEMPLATES: Final = SOURCE / PACKAGE / "templates"

LEVELS: Final = (
    "codes",
    "diagnostics",
    "errors model",
    "text",
    "audit",
    "matrix",
    "compat",
    "planning",
    "secrecy",
    "execution",
    "scratch shell site tree disk web extensions",
    "engine ledger signing",
    "repository state",
    "apt cleanup git resolver registry",
    "cluster",
    "project",
    "row_state",
    "report verify",
    "plugins testing",
    "commands",
    "tasks",
    "cli",
    "__main__ inv",
)
"""A module or package may import those of the lines above it and, in a package, its own modules."""

STRANGERS: Final[Mapping[str, str]] = {
    "cluster": "ledger repository state",
    "engine": "execution ledger planning.garbage planning.publication repository signing site state",
    "execution": "planning.garbage planning.publication planning.render secrecy",
    "project": "engine execution registry",
}
"""What knows nothing of what, though its level would let it.

An executor goes by its jobs alone: not by the project, nor by what the host is configured to."""

PURE: Final = LEVELS[: LEVELS.index("planning") + 1]
"""No disk, network, process or clock."""
ACTING: Final = frozenset({"os", "shutil", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib"})

LONGEST_MODULE: Final = 400
"""Lines."""

HOMES: Final[Mapping[str, str]] = {
    "concurrent": "execution.parallel",
    "cryptography": "cluster.certificates signing",
    "dask": "cluster.library",
    "distributed": "cluster",
    "docker": "engine",
    "filelock": "scratch state",
    "hashlib": "planning.keys",
    "invoke": "commands tasks cli",
    "itables": "report",
    "jinja2": "planning.render.templates report",
    "msgspec": "text.documents",
    "networkx": "planning.graph",
    "packaging": "text",
    "pip": "site",  # whose word the default index is
    "plotly": "report",
    "pytest": "verify",
    "requests": "engine web",  # the engine: what the docker SDK raises
    "rich": "report",
    "subprocess": "shell",
    "tenacity": "execution.backoff",
    "testinfra": "verify",
    "toml": "planning.lock",
    "tomlkit": "planning.editing",
    "tomllib": "text.toml_text",
    "yaml": "planning.pipeline",
    "urllib3": "engine web",  # what requests does not turn into its own
    "uv": "resolver",
    "zstandard": "engine.saved",
}
"""Library -> the modules that may import it; of the standard library those that have one home."""


@cache
def modules() -> Mapping[str, ast.Module]:
    """Return each module of the package by its name in it: `plan`, `matrix.grid`, `matrix` for its `__init__`."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        if not {STOCK, TEMPLATES}.isdisjoint(path.parents):  # what runs in images, and in pytest
            continue
        parts = path.relative_to(SOURCE / PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


def imports(name: str) -> Iterator[str]:
    """Yield what a module imports anywhere: at its top, for type checking, within functions."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def known(name: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports."""
    for path in imports(name):
        if path.startswith(f"{PACKAGE}."):
            inner = path.removeprefix(f"{PACKAGE}.")
            module = inner if inner in modules() else inner.rpartition(".")[0]
            if module:  # else a name of the package itself
                yield module


def unit(name: str) -> str:
    return name.partition(".")[0]


def level(name: str) -> int:
    return next(at for at, names in enumerate(LEVELS) if unit(name) in names.split())


def test_every_module_has_its_level() -> None:
    """Once; and every level has its modules."""
    listed = " ".join(LEVELS).split()
    assert sorted(listed) == sorted({unit(name) for name in modules()} - {"__init__"})


def test_the_way_down() -> None:
    """A module imports from the levels above it alone."""
    wrong = [
        f"{name} imports {other}"
        for name in modules()
        for other in known(name)
        if unit(name) != "__init__" and unit(name) != unit(other) and level(other) >= level(name)
    ]
    assert wrong == []


@pytest.mark.parametrize(("name", "strangers"), STRANGERS.items())
def test_strangers(name: str, strangers: str) -> None:
    wrong = [
        f"{inner} imports {other}"
        for inner in modules()
        if unit(inner) == name
        for other in known(inner)
        for stranger in strangers.split()
        if f"{other}.".startswith(f"{stranger}.")
    ]
    assert wrong == []


def test_no_cycles() -> None:
    """Also within a package."""
    graphlib.TopologicalSorter({name: {*known(name)} - {name} for name in modules()}).prepare()


def test_a_class_name_means_one_thing() -> None:
    """Whoever reads a name need not ask which module it is from; names of one module alone are its own business."""
    homes: dict[str, list[str]] = {}
    for name, module in modules().items():
        for node in module.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_module_is_longer_than_a_reader_bears() -> None:
    paths = (SOURCE / PACKAGE).rglob("*.py")
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_each_library_has_one_home() -> None:
    """And every library that is used has one."""
    wrong = []
    for name in modules():
        for library in {path.partition(".")[0] for path in imports(name)} - {PACKAGE}:
            homes = HOMES.get(library, "" if library not in sys.stdlib_module_names else name).split()
            if not any(name == home or name.startswith(f"{home}.") for home in homes):
                wrong.append(f"{name} imports {library}")
    assert wrong == []


def test_threads_have_one_home() -> None:
    """Everybody may share locks and events; who starts a thread is one module."""
    makers = {"Thread", "Timer", "start_new_thread"}
    starters = {
        name
        for name in modules()
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in makers
    }
    assert starters == {"execution.parallel"}


def test_what_decides_does_not_act() -> None:
    """No disk, network, process or clock before a plan is made."""
    pure = " ".join(PURE).split()
    wrong = [
        f"{name} imports {path}"
        for name in modules()
        if unit(name) in pure
        for path in imports(name)
        if path.partition(".")[0] in ACTING or path in {"pathlib.Path", "datetime.datetime"}
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ["imagematrix.tasks", "imagematrix.cli"])
def test_the_command_line_starts_light(module: str) -> None:
    """`invoke --list` takes no longer than invoke itself: libraries come with the task that needs them."""
    heavy = {
        "dask",
        "distributed",
        "docker",
        "filelock",
        "jinja2",
        "networkx",
        "packaging",
        "requests",
        "rich",
        "tenacity",
        "toml",
    }
    program = f"import sys, {module}; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    python = [sys.executable, "-c", program]
    loaded = subprocess.run(python, env=environment, check=True, capture_output=True, text=True).stdout

    assert {name.partition(".")[0] for name in loaded.split()} & heavy == set()


def test_a_process_that_runs_checks_imports_no_planner() -> None:
    """One starts for each image, so unneeded imports would slow each of them down."""
    code = "import sys, imagematrix.verify.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"imagematrix.project", "jinja2", "networkx"}.isdisjoint(done.stdout.split())
