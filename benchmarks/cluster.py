"""How near a cluster comes to the shortest possible run, and what it costs; run as `python -m benchmarks.cluster`.

The real program as users run it: the scheduler, each machine and the coordinator are processes of their own. The
machines sleep instead of building.

Part 1: 684 builds on 4 machines with 4 worker slots each. A machine pulls at 100 MB/s and pushes at 50 MB/s. Time runs
`SPEED` times as fast as it would. `ratio` is the time until the last build ended / max(critical path, work / worker
slots), where work counts builds alone: pulls and waits are what a cluster costs. In the second run one machine is
four times as slow; its bound counts it as a quarter of a machine.

Part 2: 4,788 nodes that take no time, and the processor time of each process.

Part 3: the same in one process, where all share one interpreter lock.
"""

import contextlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil
from benchmarks.scheduler import Grid, Nothing, monorepo
from tests.clusters import LocalCluster, cluster_plan, until
from tests.fakes import job_of, plan_of
from tests.virtual import Nature

from imagematrix import __version__
from imagematrix.cluster import Cluster, Link, service
from imagematrix.cluster.machine import BuildMachine, HeldNode
from imagematrix.cluster.messages import MachineFacts
from imagematrix.cluster.security import address
from imagematrix.cluster.service import Trouble
from imagematrix.cluster.voice import Voice
from imagematrix.errors import NoClusterError
from imagematrix.execution import schedule
from imagematrix.model import Attempt, BuildJob, Key, NodePull, Outcome, Plan, Pushed, PushStatus, Status

SPEED: Final = 15.0
MACHINES: Final = 4
SLOTS: Final = 4
PULLED_A_SECOND: Final = 100e6
PUSHED_A_SECOND: Final = 50e6
BYTES: Final[Mapping[str, float]] = {
    "base": 120e6,
    "system": 150e6,
    "python": 100e6,
    "tensorflow": 900e6,
    "paddle": 700e6,
    "torch": 2000e6,
    "notebook": 150e6,
    "boot": 1e6,
}
"""What the layers of this repository add to a registry, compressed."""


GRIDS: Final = {"simulation": (216, 1), "overhead": (1584, 3)}
"""Rows and seed of each part."""


@dataclass(frozen=True)
class World:
    """What all machines know: how long builds take. Without a speed, nothing takes any time."""

    grid: Grid
    speed: float

    def missing(self, key: Key, there: set[Key]) -> float:
        """Return how many bytes of a node, with everything below it, are not in a place."""
        found, name = 0.0, str(key)
        while name and Key(name) not in there:
            found += BYTES[self.grid.layers[name]]
            name = self.grid.parents[name] or ""
        return found

    def sleep(self, seconds: float) -> None:
        """Let so many seconds of this world pass."""
        if self.speed:
            time.sleep(seconds / self.speed)


class SleepingHost:
    """A machine that sleeps as long as it would build, pull and push; all its pushes share one line."""

    def __init__(self, world: World, slowness: float) -> None:
        self._world = world
        self._slowness = slowness
        self._there: set[Key] = set()
        self._line = threading.Lock()

    @contextlib.contextmanager
    def opened(self, _voice: Voice, _compression: str) -> Iterator[Self]:
        """Open it for a run."""
        yield self

    def image(self, ids: tuple[str, ...]) -> str:
        """Return the image, if it is here: images are called like their nodes."""
        return next((each for each in ids if Key(each) in self._there), "")

    def held(self, _repository: str, _key: Key) -> HeldNode | None:
        """Return nothing: no node is built twice."""
        return None

    def do(self, job: BuildJob) -> Attempt:
        """Sleep."""
        if isinstance(job.work, NodePull):
            self._world.sleep(self._world.missing(job.key, self._there) / PULLED_A_SECOND)
        else:
            self._world.sleep(self._world.grid.seconds[job.key] * self._slowness)
        self._there.add(job.key)
        return Attempt(ok=True, image=job.key)

    def push(self, repository: str, key: Key, image: str, *, replaces: str = "") -> Pushed:  # noqa: ARG002
        """Sleep; what the node is built on was pushed before, or is on the line already."""
        parent = self._world.grid.parents[key]
        with self._line:
            self._world.sleep(self._world.missing(key, {Key(parent)} if parent else set()) / PUSHED_A_SECOND)
        name = f"{repository}:{key}"
        return Pushed(key=key, name=name, status=PushStatus.PUSHED, attempts=1, digest=image)

    def difference(self, old: str, new: str) -> None:
        """Find none: nothing is compared here."""

    def remove(self, key: Key) -> None:
        """Forget it."""
        self._there.discard(key)

    def size(self, image: str) -> int:
        """Return its whole size."""
        return round(self._world.missing(Key(image), set()))

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Say what was checked."""
        return b" ".join((kit, task, image.encode()))

    def cancel(self) -> None:
        """Cancel nothing."""


class NoLog:
    """A log of nothing."""

    path = ""

    def write(self, _text: str, /) -> None:
        """Drop it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def build_machine(number: int, world: World, slowness: float) -> BuildMachine:
    """Return one of the machines."""
    facts = MachineFacts(name=f"m{number}", version=__version__, platform="linux/amd64", slots=SLOTS)
    return BuildMachine(facts, SleepingHost(world, slowness).opened)


@contextlib.contextmanager
def one_process(world: World, folder: Path) -> Iterator[str]:
    """Give the address of a cluster in this process."""
    cluster = LocalCluster(folder)
    for number in range(MACHINES):
        cluster.join(build_machine(number, world, 1.0))
    yield cluster.address
    cluster.close()


@contextlib.contextmanager
def processes(
    part: str, slowness: Mapping[int, float], speed: float, folder: Path
) -> Iterator[tuple[str, Mapping[str, psutil.Process]]]:
    """Give the address of a cluster of processes, and the processes by name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = {"scheduler": subprocess.Popen([sys.executable, "-m", "imagematrix", "cluster", "start", at])}
    for number in range(MACHINES):
        words = ["machine", part, str(number), str(slowness.get(number, 1.0)), str(speed), at, str(folder)]
        started[f"m{number}"] = subprocess.Popen([sys.executable, "-m", "benchmarks.cluster", *words])
    try:
        until(lambda: machines_at(at) == MACHINES, seconds=120)
        yield at, {name: psutil.Process(process.pid) for name, process in started.items()}
    finally:
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        for process in started.values():
            process.wait(30)


def machines_at(at: str) -> int:
    """Return how many machines have joined a cluster."""
    link = Link(address(at), "", who="")
    try:
        link.look()
        return len(link.machines())
    except NoClusterError:
        return 0
    finally:
        link.close()


def machine(part: str, number: int, slowness: float, speed: float, at: str, folder: Path) -> None:
    """Be a machine, until SIGTERM."""
    made = build_machine(number, World(monorepo(*GRIDS[part]), speed), slowness)
    service.join(address(at), "", made, folder=folder, trouble=Trouble, say=lambda _line: None)


def ran(grid: Grid, at: str) -> tuple[float, tuple[Outcome, ...]]:
    """Run a grid on a cluster; return the seconds that it took, and the outcomes."""
    plan = plan_of(grid.parents, layers=grid.layers)
    link = Link(address(at), "", who="a benchmark")
    executor = Cluster(
        link,
        cluster_plan(plan, {}, seconds=grid.known),
        logs=lambda _name: NoLog(),
        said=lambda _key, _line: None,
        waiting=lambda _key, _cache: None,
    )
    with contextlib.closing(link):
        jobs, begun = executor.open(), time.monotonic()
        outcomes = schedule.run(
            plan,
            executor,
            Nothing(Nature(seconds={})),
            job=job_of(plan),
            jobs=jobs,
            seconds=grid.known,
            settle=executor.settle,
            stop=threading.Event(),
        )
        return time.monotonic() - begun, outcomes


def bound(grid: Grid, plan: Plan, slots: float) -> float:
    """Return what no run could beat, in seconds: pushes go on after the last build, and hold no worker slot."""
    ends: dict[Key | None, float] = {}
    for step in plan.steps:
        ends[step.node.key] = ends.get(step.node.parent, 0.0) + grid.seconds[step.node.key]
    return max(*ends.values(), sum(grid.seconds.values()) / slots)


def simulation(speed: float = SPEED) -> None:
    """Print part 1."""
    grid = monorepo(*GRIDS["simulation"])
    plan = plan_of(grid.parents, layers=grid.layers)
    for title, slowness in (("4 equal machines", {}), ("one machine 4 x slower", {0: 4.0})):
        with tempfile.TemporaryDirectory() as folder, processes("simulation", slowness, speed, Path(folder)) as (at, _):
            _, outcomes = ran(grid, at)
        slots = sum(SLOTS / slowness.get(number, 1.0) for number in range(MACHINES))
        ended = max((outcome.started or 0.0) + (outcome.seconds or 0.0) for outcome in outcomes) * speed
        ratio = ended / bound(grid, plan, slots)
        found = f"{built(outcomes)} of {len(outcomes)} built in {ended:.0f} s"
        print(f"{title}: {found}: ratio {ratio:.3f}; {load()}", flush=True)


def overhead() -> None:
    """Print part 2."""
    grid = monorepo(*GRIDS["overhead"])
    with tempfile.TemporaryDirectory() as folder, processes("overhead", {}, 0.0, Path(folder)) as (at, children):
        found = {"coordinator": psutil.Process(), **children}
        before = {name: spent(process) for name, process in found.items()}
        took, outcomes = ran(grid, at)
        used = {name: spent(process) - before[name] for name, process in found.items()}
        memory = ", ".join(f"{name} {process.memory_info().rss / 1e6:.0f} MB" for name, process in children.items())
    each = 1000 / len(outcomes)
    shares = ", ".join(f"{name} {seconds * each:.2f}" for name, seconds in used.items())
    print(
        f"{built(outcomes)} nodes that take no time: {took * each:.2f} ms a node; processor time "
        f"{sum(used.values()) * each:.2f} ms ({shares}); coordinator {peak():.0f} MB, {memory}; {load()}"
    )


def overhead_in_one_process() -> None:
    """Print part 3."""
    grid = monorepo(*GRIDS["overhead"])
    with tempfile.TemporaryDirectory() as folder, one_process(World(grid, 0.0), Path(folder)) as at:
        begun = time.process_time()
        took, outcomes = ran(grid, at)
        used = time.process_time() - begun
    each = 1000 / len(outcomes)
    print(
        f"{built(outcomes)} nodes that take no time, in one process: {took * each:.2f} ms a node; processor time "
        f"{used * each:.2f} ms; {peak():.0f} MB; {load()}"
    )


def spent(process: psutil.Process) -> float:
    """Return the processor time of a process, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def built(outcomes: tuple[Outcome, ...]) -> int:
    """Return how many nodes were built."""
    return sum(outcome.status is Status.BUILT for outcome in outcomes)


def peak() -> float:
    """Return the most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def load() -> str:
    """Say how much else the machine has to do."""
    return f"load {os.getloadavg()[0]:.0f}"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    match sys.argv[1:]:
        case "machine", part, number, slowness, speed, at, folder:
            machine(part, int(number), float(slowness), float(speed), at, Path(folder))
        case "simulation", speed:
            simulation(float(speed))
        case names:
            parts = {"simulation": simulation, "overhead": overhead, "overhead_in_one_process": overhead_in_one_process}
            for name in names or parts:
                parts[name]()
