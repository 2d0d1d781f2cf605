"""The table of commands: what a monorepo's own tasks.py takes.

from imagematrix.tasks import collection

ns = collection()
"""

import inspect
from pathlib import Path
from typing import Final

from invoke import Collection

from imagematrix.commands.add import add
from imagematrix.commands.build import build
from imagematrix.commands.check import check
from imagematrix.commands.cluster import cluster
from imagematrix.commands.doctor import doctor
from imagematrix.commands.engine import engine
from imagematrix.commands.explain import explain
from imagematrix.commands.export import export
from imagematrix.commands.gc import gc
from imagematrix.commands.graph import graph
from imagematrix.commands.importing import import_
from imagematrix.commands.init import init
from imagematrix.commands.layers import layers
from imagematrix.commands.list import list_
from imagematrix.commands.lock import lock
from imagematrix.commands.nightly import nightly
from imagematrix.commands.plan import plan
from imagematrix.commands.push import push
from imagematrix.commands.render import render
from imagematrix.commands.report import report
from imagematrix.commands.schema import schema
from imagematrix.commands.verify import verify
from imagematrix.commands.worker import worker
from imagematrix.model import MATRIX

GROUPS: Final = {
    "Begin": (init, import_, doctor, engine),
    "Change the matrix": (add, check, layers, schema),
    "See what is and what would be": (list_, plan, graph, explain),
    "Lock and render": (lock, render),
    "Build and publish": (build, verify, push),
    "Keep running": (nightly, report, gc),
    "Build on many machines": (cluster, worker, export),
}
"""All commands, by what they are for."""
_COMMANDS: Final = tuple(command for group in GROUPS.values() for command in group)


def collection(root: str = "", *, matrix: str = MATRIX) -> Collection:
    """Return all commands as a collection of tasks.

    `root` is the folder of the matrix file, relative to the file that calls this, and `matrix` the file's name. Without
    them commands take the nearest `matrix.toml`, in the current folder or above it. A monorepo with tasks or matrices
    of its own adds the collection to its namespace: `ns.add_collection(collection(root="infra/images"), "images")`
    makes `invoke images.build`.
    """
    if not root and matrix == MATRIX:
        return Collection(*_COMMANDS)
    caller = inspect.currentframe()
    file = caller.f_back.f_globals.get("__file__", "") if caller and caller.f_back else ""
    return Collection(*(each.of_matrix(str(Path(file).absolute().parent / root / matrix)) for each in _COMMANDS))
