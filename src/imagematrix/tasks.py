"""The table of commands: what a monorepo's own tasks.py takes.

from imagematrix.tasks import collection

ns = collection()
"""

from invoke import Collection

from imagematrix.commands.add import add
from imagematrix.commands.build import build
from imagematrix.commands.check import check
from imagematrix.commands.doctor import doctor
from imagematrix.commands.gc import gc
from imagematrix.commands.graph import graph
from imagematrix.commands.list import list_
from imagematrix.commands.lock import lock
from imagematrix.commands.nightly import nightly
from imagematrix.commands.plan import plan
from imagematrix.commands.push import push
from imagematrix.commands.render import render
from imagematrix.commands.report import report
from imagematrix.commands.schema import schema
from imagematrix.commands.verify import verify


def collection() -> Collection:
    """Return all commands as a collection of tasks."""
    return Collection(
        add, build, check, doctor, gc, graph, list_, lock, nightly, plan, push, render, report, schema, verify
    )
