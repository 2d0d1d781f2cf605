"""Machines with a clock of their own: the real scheduler, executor, dispatcher and machines, as fast as they can.

Dask alone is not there. The clock moves when every thread that could sleep does; the world knows how many these are.
"""

import contextlib
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from imagematrix import __version__
from imagematrix.cluster import packing
from imagematrix.cluster.link import ListedMachine
from imagematrix.cluster.machine import BuildMachine, HeldNode
from imagematrix.cluster.messages import JobEnded, JobNews, MachineFacts, RemoteJob, SentJob
from imagematrix.cluster.voice import Voice
from imagematrix.model import Attempt, BuildJob, Key, NodePull, Plan, Pushed, PushStatus

PULLED_A_SECOND = 100e6
PUSHED_A_SECOND = 50e6
PUSHES = 2
"""How many of each kind a machine pushes at once."""
_LOOK_SECONDS = 0.001
_REAL_SECONDS = 20.0
"""After which a world that stands still is given up."""


@dataclass(kw_only=True)
class Grid:
    """What is built: how long it takes, and what it adds to a registry."""

    plan: Plan
    seconds: Mapping[Key, float]
    bytes: Mapping[Key, float]
    shared: Collection[Key]

    def __post_init__(self) -> None:
        self.parents = {step.node.key: step.node.parent for step in self.plan.steps}
        self.children: dict[Key | None, list[Key]] = {}
        for key, parent in self.parents.items():
            self.children.setdefault(parent, []).append(key)

    def missing(self, key: Key | None, there: Collection[Key]) -> float:
        """Return how many bytes of a node, with everything below it, are not in a place."""
        found = 0.0
        while key and key not in there:
            found += self.bytes[key]
            key = self.parents[key]
        return found


class Machines:
    """The world, and the connection to it in the place of `cluster.link.Link`."""

    run = "a virtual run"
    name = "tcp://nowhere:1"

    def __init__(self, grid: Grid, *, slowness: Mapping[str, float], slots: int, jobs: int) -> None:
        self.grid = grid
        self.slowness = slowness
        self.ended = 0.0
        """When the last build did."""
        self.waiting: Callable[[], int] = lambda: 0
        """How many jobs wait for a worker slot."""
        self._jobs = jobs
        self._hosts = {name: _Host(self, name) for name in slowness}
        self._machines = {
            name: BuildMachine(
                MachineFacts(name=name, version=__version__, platform="linux/amd64", slots=slots), opened
            )
            for name, opened in ((host.name, host.opened) for host in self._hosts.values())
        }
        self._could_run = set(grid.children[None])
        self._running: dict[str, Key] = {}
        """The nodes that machines build, by the names of their tasks."""
        self._expected = 0
        """How many threads sleep when all do."""
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._number = itertools.count()
        self._lock = threading.RLock()
        self._now = 0.0
        self._moved = time.monotonic()
        """When the clock last did, in real time."""

    # What an executor asks of a connection.

    def listen(self, jobs: Callable[[Sequence[JobNews | JobEnded]], None], _machines: object, _renewed: object) -> None:
        for machine in self._machines.values():
            machine.listen(lambda _run, news: self._hear(news, jobs))

    def try_of(self, key: Key) -> str:
        return f"{key}-{next(self._number)}"

    def connect(self) -> None:
        """Be connected."""

    def is_up(self) -> bool:
        return True

    def machines(self) -> list[ListedMachine]:
        return [ListedMachine(address="", facts=each.facts, away="") for each in self._machines.values()]

    def session(self) -> object:
        return self

    def lasts(self, _session: object) -> bool:
        return True

    def stop(self) -> None:
        """Stop nothing."""

    def send(self, sent: SentJob) -> None:
        remote = packing.unpack(sent.data)
        assert isinstance(remote, RemoteJob)
        with self._lock:
            self._running[sent.task] = remote.job.key
            self._expected += self._hosts[sent.machine].begins(self.grid.parents[remote.job.key])
        self._machines[sent.machine].begin(self.run, sent.task, sent.version, sent.data)

    def _hear(self, news: JobNews | JobEnded, jobs: Callable[[Sequence[JobNews | JobEnded]], None]) -> None:
        jobs([news])  # what waits for the worker slot has it now
        if not isinstance(news, JobEnded):
            return
        with self._lock:
            key = self._running.pop(news.task)
            self._expected -= 1
            self._could_run.remove(key)
            if key not in self.grid.shared:
                self._could_run.update(self.grid.children.get(key, ()))

    # What machines ask of the world.

    def sleep_until(self, moment: Callable[[float], float], then: Callable[[], None]) -> None:
        """Sleep until a moment, which is computed from the present one; then do something before the clock goes on."""
        awake = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (moment(self._now), next(self._number), awake))
        while not awake.wait(_LOOK_SECONDS):
            self._go_on()
        with self._lock:
            then()

    def built(self) -> None:
        """Note the end of a build."""
        self.ended = self._now

    def expect(self, number: int) -> None:
        """Note that so many threads more, or fewer, sleep from now on."""
        self._expected += number

    def pushed(self, key: Key) -> None:
        """Let nodes be built on what others can pull now."""
        if key in self.grid.shared:
            self._could_run.update(self.grid.children.get(key, ()))

    def _go_on(self) -> None:
        """Move the clock, if all that could run does and sleeps."""
        with self._lock:
            is_full = self.waiting() + len(self._running) == min(self._jobs, len(self._could_run))
            if is_full and self._sleepers and len(self._sleepers) == self._expected:
                self._now, _, awake = heapq.heappop(self._sleepers)
                awake.set()
                self._moved = time.monotonic()
            elif time.monotonic() - self._moved > _REAL_SECONDS:
                raise TimeoutError("less runs than could: the world stands still")


class _Host:
    """A machine's engine. All its pushes share one line; two jobs that need one image wait for one pull."""

    def __init__(self, world: Machines, name: str) -> None:
        self.name = name
        self._world = world
        self._there: set[Key] = set()
        self._pulling: Counter[Key] = Counter()
        """How many jobs wait for a pull, with the one that pulls."""
        self._pushing: Counter[bool] = Counter()
        """Images that are to be pushed: those that others wait for, and the others."""
        self._line_is_free = 0.0

    @contextlib.contextmanager
    def opened(self, _voice: Voice, _compression: str) -> Iterator[Self]:
        yield self

    def lacks(self, key: Key | None) -> float:
        return self._world.grid.missing(key, self._there)

    def begins(self, parent: Key | None) -> int:
        """Note a job that begins; return how many threads more sleep: none if it waits for another one's pull."""
        if parent is None or parent in self._there:
            return 1
        self._pulling[parent] += 1
        return 1 if self._pulling[parent] == 1 else 0

    def image(self, ids: tuple[str, ...]) -> str:
        return next((each for each in ids if Key(each) in self._there), "")

    def held(self, _repository: str, _key: Key) -> HeldNode | None:
        return None

    def do(self, job: BuildJob) -> Attempt:
        if isinstance(job.work, NodePull):
            seconds = self.lacks(job.key) / PULLED_A_SECOND
            self._world.sleep_until(lambda now: now + seconds, lambda: self._pulled(job.key))
        else:
            seconds = self._world.grid.seconds[job.key] * self._world.slowness[self.name]
            self._world.sleep_until(lambda now: now + seconds, lambda: self._built(job.key))
        return Attempt(ok=True, image=job.key)

    def push(self, repository: str, key: Key, image: str, *, replaces: str = "") -> Pushed:  # noqa: ARG002
        self._world.sleep_until(lambda now: self._takes_line(now, key), lambda: self._pushed(key))
        name = f"{repository}:{key}"
        return Pushed(key=key, name=name, status=PushStatus.PUSHED, attempts=1, digest=image)

    def difference(self, old: str, new: str) -> None:
        """Find none: nothing is compared here."""

    def remove(self, key: Key) -> None:
        self._there.discard(key)

    def size(self, image: str) -> int:
        return round(self._world.grid.missing(Key(image), ()))

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Say what was checked."""
        return b" ".join((kit, task, image.encode()))

    def cancel(self) -> None:
        """Cancel nothing."""

    def _pulled(self, key: Key) -> None:
        self._there.add(key)
        self._world.expect(self._pulling.pop(key) - 1)

    def _built(self, key: Key) -> None:
        self._there.add(key)
        self._world.built()
        kind = key in self._world.grid.shared
        self._pushing[kind] += 1
        self._world.expect(1 if self._pushing[kind] <= PUSHES else 0)

    def _takes_line(self, now: float, key: Key) -> float:
        parent = self._world.grid.parents[key]
        held = {parent} if parent else set()  # it was pushed before, or is on the line already
        begins = max(now, self._line_is_free)
        self._line_is_free = begins + self._world.grid.missing(key, held) / PUSHED_A_SECOND
        return self._line_is_free

    def _pushed(self, key: Key) -> None:
        kind = key in self._world.grid.shared
        self._pushing[kind] -= 1
        self._world.pushed(key)
        self._world.expect(0 if self._pushing[kind] >= PUSHES else -1)
