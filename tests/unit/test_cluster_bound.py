"""How near a run on many machines comes to the shortest possible one, in virtual time."""

import contextlib
import itertools
import random
import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest
from tests.clusters import cluster_plan
from tests.fakes import Recorder, job_of, plan_of
from tests.virtual_machines import Grid, Machines

from imagematrix.cluster import Cluster
from imagematrix.cluster.host import NoLog
from imagematrix.execution import schedule
from imagematrix.model import Key, Status
from imagematrix.planning import placement

MACHINES = 4
SLOTS = 4
SECONDS = {
    "base": 40,
    "system": 26,
    "python": 16,
    "tensorflow": 20,
    "paddle": 20,
    "torch": 60,
    "notebook": 10,
    "boot": 2,
}
"""How long the layers of this repository take on a machine of two processors."""
BYTES = {
    "base": 120e6,
    "system": 150e6,
    "python": 100e6,
    "tensorflow": 900e6,
    "paddle": 700e6,
    "torch": 2000e6,
    "notebook": 150e6,
    "boot": 1e6,
}
"""What they add to a registry."""


def grid() -> Grid:
    """216 rows on 6 bases with 4 Pythons: 684 builds."""
    chance = random.Random(1)
    parents: dict[str, str | None] = {}
    for base in range(6):
        parents |= {f"base {base}": None, f"system {base}": f"base {base}"}
        for python in (f"{base}.{number}" for number in range(4)):
            parents[f"python {python}"] = f"system {base}"
            for framework, version in itertools.product(("tensorflow", "paddle", "torch"), range(3)):
                name = f"{framework} {python}.{version}"
                parents |= {
                    name: f"python {python}",
                    f"notebook {name}": name,
                    f"boot {name}": f"notebook {name}",
                }
    layers = {name: name.partition(" ")[0] for name in parents}
    plan = plan_of(parents, layers=layers)
    return Grid(
        plan=plan,
        seconds={Key(name): SECONDS[layer] * chance.lognormvariate(0, 0.5) for name, layer in layers.items()},
        bytes={Key(name): BYTES[layer] for name, layer in layers.items()},
        shared=placement.shared(plan),
    )


def bound(grid: Grid, lanes: float) -> float:
    """Return what no run could beat."""
    ends: dict[Key | None, float] = {}
    for step in grid.plan.steps:
        ends[step.node.key] = ends.get(step.node.parent, 0.0) + grid.seconds[step.node.key]
    return max(*ends.values(), sum(grid.seconds.values()) / lanes)


@pytest.mark.parametrize(
    ("slowness", "goal"),
    [
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, 1.10),
        ({"a": 4.0, "b": 1.0, "c": 1.0, "d": 1.0}, 1.30),
    ],
    ids=["equal machines", "one machine four times slower"],
)
def test_a_run_is_near_the_shortest_possible(slowness: Mapping[str, float], goal: float) -> None:
    """A job's worker slot ends with its build: machines that push slower than they build do not stand still."""
    work = grid()
    world = Machines(work, slowness=slowness, slots=SLOTS, jobs=4 * SLOTS * MACHINES)
    executor = Cluster(
        cast("Any", world),
        cluster_plan(work.plan, {}, seconds=work.seconds),
        logs=lambda _name: contextlib.nullcontext(NoLog()),
        said=lambda _key, _line: None,
        waiting=lambda _key, _cache: None,
    )
    world.waiting = executor._dispatcher.waiting
    outcomes = schedule.run(
        work.plan,
        executor,
        Recorder(),
        job=job_of(work.plan),
        jobs=executor.open(),
        seconds=work.seconds,
        settle=executor.settle,
        stop=threading.Event(),
    )

    assert {outcome.status for outcome in outcomes} == {Status.BUILT}
    lanes = sum(SLOTS / each for each in slowness.values())
    assert world.ended <= goal * bound(work, lanes)
