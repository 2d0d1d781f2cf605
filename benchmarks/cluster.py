"""How near a cluster comes to the shortest possible run, and what it costs; run as `python -m benchmarks.cluster`.

Real scheduler, executor and Dask; machines that sleep instead of building, all in one process.

Part 1: 684 builds on 4 machines with 4 worker slots each. A machine pulls at 100 MB/s and pushes at 50 MB/s. Time runs
`SPEED` times as fast as it would. `ratio` is the time until the last build ended / max(critical path, work / worker
slots), where work counts builds alone: pulls and waits are what a cluster costs. In the second run one machine is
four times as slow; its bound counts it as a quarter of a machine.

Part 2: 4,788 nodes that take no time.
"""

import contextlib
import logging
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from benchmarks.scheduler import Grid, Nothing, monorepo
from tests.clusters import LocalCluster, cluster_plan
from tests.fakes import job_of, plan_of
from tests.virtual import Nature

from imagematrix import __version__
from imagematrix.cluster import Cluster, Link
from imagematrix.cluster.machine import BuildMachine, HeldNode, Voice
from imagematrix.cluster.messages import MachineFacts
from imagematrix.cluster.security import address
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


@dataclass
class World:
    """What all machines share: how long builds take, and the registry."""

    grid: Grid
    speed: float
    held: set[Key] = field(default_factory=set)
    begun: float = 0.0
    ended: float = 0.0

    def bytes_of(self, key: Key) -> float:
        """Return what a node adds."""
        return BYTES[self.grid.layers[key]]

    def missing(self, key: Key, there: set[Key]) -> float:
        """Return how many bytes of a node, with everything below it, are not in a place."""
        found, name = 0.0, str(key)
        while name and Key(name) not in there:
            found += self.bytes_of(Key(name))
            name = self.grid.parents[name] or ""
        return found


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
            self._sleep(self._world.missing(job.key, self._there) / PULLED_A_SECOND)
        else:
            self._sleep(self._world.grid.seconds[job.key] * self._slowness)
        self._there.add(job.key)
        self._world.ended = time.monotonic()
        return Attempt(ok=True, image=job.key)

    def push(self, repository: str, key: Key, image: str, *, replaces: str = "") -> Pushed:  # noqa: ARG002
        """Sleep."""
        with self._line:
            self._sleep(self._world.missing(key, self._world.held) / PUSHED_A_SECOND)
        self._world.held.add(key)
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

    def _sleep(self, seconds: float) -> None:
        if self._world.speed:
            time.sleep(seconds / self._world.speed)


class NoLog:
    """A log of nothing."""

    path = ""

    def write(self, _text: str, /) -> None:
        """Drop it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def ran(grid: Grid, slowness: Mapping[int, float], *, speed: float) -> tuple[float, World, tuple[Outcome, ...]]:
    """Run a grid on a cluster; return the seconds until the last build ended, the world and the outcomes."""
    plan, world = plan_of(grid.parents, layers=grid.layers), World(grid, speed)
    with tempfile.TemporaryDirectory() as folder:
        cluster = LocalCluster(Path(folder))
        for number in range(MACHINES):
            facts = MachineFacts(name=f"m{number}", version=__version__, platform="linux/amd64", slots=SLOTS)
            cluster.join(BuildMachine(facts, SleepingHost(world, slowness.get(number, 1.0)).opened))
        link = Link(address(cluster.address), "", who="a benchmark")
        executor = Cluster(
            link,
            cluster_plan(plan, {}, seconds=grid.known),
            logs=lambda _name: NoLog(),
            said=lambda _key, _line: None,
            waiting=lambda _key, _cache: None,
        )
        jobs, listener = executor.open(), Nothing(Nature(seconds={}))
        begun = time.monotonic()
        outcomes = schedule.run(
            plan,
            executor,
            listener,
            job=job_of(plan),
            jobs=jobs,
            seconds=grid.known,
            settle=executor.settle,
            stop=threading.Event(),
        )
        spent = world.ended - begun if speed else time.monotonic() - begun
        link.close()
        cluster.close()
    return spent, world, outcomes


def bound(grid: Grid, plan: Plan, slots: float) -> float:
    """Return what no run could beat, in seconds: pushes go on after the last build, and hold no worker slot."""
    ends: dict[Key | None, float] = {}
    for step in plan.steps:
        ends[step.node.key] = ends.get(step.node.parent, 0.0) + grid.seconds[step.node.key]
    return max(*ends.values(), sum(grid.seconds.values()) / slots)


def simulation() -> None:
    """Print part 1."""
    grid = monorepo(216, 1)
    plan = plan_of(grid.parents, layers=grid.layers)
    for title, slowness in (("4 equal machines", {}), ("one machine 4 x slower", {0: 4.0})):
        spent, _, outcomes = ran(grid, slowness, speed=SPEED)
        slots = sum(SLOTS / slowness.get(number, 1.0) for number in range(MACHINES))
        built = sum(outcome.status is Status.BUILT for outcome in outcomes)
        ratio = spent * SPEED / bound(grid, plan, slots)
        print(f"{title}: {built} of {len(plan.steps)} built in {spent * SPEED:.0f} s: ratio {ratio:.3f}", flush=True)


@contextlib.contextmanager
def measured() -> Iterator[Mapping[str, float]]:
    """Give the processor seconds of threads that ended, by name."""
    spent: dict[str, float] = defaultdict(float)
    run = threading.Thread.run

    def timed(thread: threading.Thread) -> None:
        run(thread)
        spent[thread.name] += time.thread_time()

    threading.Thread.run = timed  # type: ignore[method-assign, assignment]
    try:
        yield spent
    finally:
        threading.Thread.run = run  # type: ignore[method-assign]


def overhead() -> None:
    """Print part 2. The coordinator's threads are the scheduler's of this repository, and the loop of Dask's client."""
    grid = monorepo(1584, 3)
    begun, own = time.process_time(), time.thread_time()
    with measured() as threads:
        spent, _, outcomes = ran(grid, {}, speed=0.0)
    ours = sum(seconds for name, seconds in threads.items() if name.startswith(("build-", "IO loop")))
    each = 1000 / len(outcomes)
    print(
        f"{len(outcomes)} nodes that take no time: {spent * each:.2f} ms a node; processor time "
        f"{(time.process_time() - begun) * each:.2f} ms, {(ours + time.thread_time() - own) * each:.2f} ms of it the "
        f"coordinator's; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB for all in one process"
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    parts = {"simulation": simulation, "overhead": overhead}
    for name in sys.argv[1:] or parts:
        parts[name]()
