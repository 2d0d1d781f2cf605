"""An executor of many machines: says where each job may go, and makes again what got lost."""

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

from imagematrix.cluster import packing
from imagematrix.cluster.dispatcher import Dispatcher, Task
from imagematrix.cluster.images import ClusterImages
from imagematrix.cluster.link import Link, LostMachineError
from imagematrix.cluster.machines import gone
from imagematrix.cluster.messages import (
    HeldImages,
    ImagesQuestion,
    JobBegan,
    JobNews,
    JobPrinted,
    JobPushed,
    JobWaits,
    RemoteJob,
    RemoteParent,
    RemoteResult,
)
from imagematrix.cluster.pushes import ClusterPushes
from imagematrix.engine.log import LogFile
from imagematrix.errors import InputError, NoClusterError
from imagematrix.model import Attempt, BuildJob, Flake, FlakeKind, Key, PushStatus, UsedMachine
from imagematrix.planning import placement
from imagematrix.planning.placement import Placement
from imagematrix.planning.reproducible import Difference

JOBS_A_SLOT: Final = 4
"""Jobs that wait or run for each worker slot: some of them wait for the one machine that has their parent. In a
simulation of 684 builds a run took 1.19 x its bound with 1, and 1.09 x with 4."""
_MOST_SENDS: Final = 3
"""How often a job is sent within one try, or its lost parents are made again: a machine that leaves takes with it what
it has not begun."""
_INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What the coordinator knows of a plan's nodes, and no job says."""

    version: str
    """Of imagematrix here: machines of another version refuse."""
    repository: str
    """The node cache."""
    compression: str
    """How filesystem layers are compressed there: gzip, or zstd."""
    platforms: Collection[str]
    """Those of the nodes that are to be built: a run needs a machine for each."""
    seconds: Mapping[Key, float]
    """How long nodes are thought to take."""
    paths: Mapping[Key, float]
    """Seconds of the longest chain that begins with a node: the longest goes first."""
    shared: Collection[Key]
    """Nodes that are built on anywhere: they are pushed before what is built on them begins."""
    final: Collection[Key]
    """Nodes of rows: what is in the registry cannot be lost."""
    kept: Mapping[Key, RemoteParent]
    """What the registry had before the run."""
    doubt: Callable[[Key, str], str]
    """Says why what the registry has under a key, by its digest, is not believed to be the node; empty: it is."""
    is_signed: bool = False
    """Nodes are signed: what is not believed is built again, and replaced."""
    compared: Mapping[Key, RemoteParent] = field(default_factory=dict)
    """Nodes that are built to be compared -> what they are compared with. Only what differs is pushed."""


@dataclass(frozen=True, slots=True)
class _NotBegun:
    """A job that came back, and why: no machine had begun it."""

    why: str


class Cluster:
    """Does jobs on the machines of a cluster. Use it in a `with`: it ends the connection."""

    def __init__(
        self,
        link: Link,
        plan: ClusterPlan,
        *,
        logs: Callable[[str], AbstractContextManager[LogFile]],
        said: Callable[[Key, str], None],
        waiting: Callable[[Key, str], None],
    ) -> None:
        """Take a connection, and what hears of the builds: `said` each line, `waiting` each wait for a cache."""
        self._link = link
        self._plan = plan
        self._logs = logs
        self._said = said
        self._waiting = waiting
        self._images = ClusterImages(plan.kept, plan.shared, plan.compared.values())
        self._dispatcher = Dispatcher(
            link,
            version=plan.version,
            platforms=plan.platforms,
            heard=self._hear_of_job,
            changed=self._images.wake,  # a push may not end any more
        )
        self._machines = self._dispatcher.machines
        self._streams: dict[Key, LogFile] = {}
        self._awaited = frozenset({*plan.shared, *plan.final, *plan.compared})
        """Nodes whose tries end when they are in the registry."""
        self._changes: dict[Key, Difference | None] = {}
        self._doubted: dict[Key, str] = {}
        """Digests of what the registry has and is not believed."""
        self._remakes: dict[Key, threading.Lock] = {}
        self._begun: queue.SimpleQueue[tuple[Key, str]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def open(self) -> int:
        """Connect; return how many jobs to give at once. Raises NoClusterError."""
        self._dispatcher.open()
        self._ask_for_images()
        return JOBS_A_SLOT * self._machines.slots()

    def limits(self) -> Mapping[str, int]:
        """Return how many jobs of each Docker platform to give at once: no platform takes the places of another."""
        return {each: JOBS_A_SLOT * self._machines.slots(each) for each in self._plan.platforms}

    def build(self, job: BuildJob) -> Attempt:
        """Try once to do a job; parents that got lost are made again."""
        with self._logs(f"{job.layer}-{job.key[:12]}.log") as stream, self._logged(job.key, stream):
            attempt = self._try(job)
        return replace(attempt, log=stream.path, is_settled=job.key not in self._awaited or self._is_same(job.key))

    def settle(self, job: BuildJob, attempt: Attempt) -> Attempt:
        """Wait until the image of a node is in the registry; return how its machine failed to push it, if it did."""

        def lasts() -> bool:
            return self._link.is_up() and self._machines.has(attempt.machine) and not self._cancelled.is_set()

        pushed = self._images.await_push(job.key, lasts=lasts)
        if pushed and pushed.status is PushStatus.PUSHED:
            return attempt
        if pushed:
            self._machines.failed(job.key, attempt.machine, FlakeKind.NETWORK)
            why, kind = f"{attempt.machine}: {pushed.why}", FlakeKind.NETWORK
        else:
            why, kind = f"the connection to {attempt.machine} broke before the image was pushed", FlakeKind.ENGINE
        return replace(attempt, ok=False, flake=Flake(kind=kind), why=why)

    def answers(self) -> bool:
        """Whether a machine takes jobs, if need be after connecting again."""
        if not self._link.is_up():
            self._images.missed_news()
        return self._dispatcher.answers()

    def cancel(self) -> None:
        """Stop this run's jobs on all machines."""
        self._cancelled.set()
        self._images.missed_news()
        self._dispatcher.give_up(_INTERRUPTED)
        self._link.stop()

    def begun(self) -> tuple[tuple[Key, str], ...]:
        """Return the jobs that began since this was last asked, with their machines."""
        found = []
        while not self._begun.empty():
            found.append(self._begun.get_nowait())
        return tuple(found)

    def gone(self) -> str:
        """Say why the cluster does nothing any more; empty: it would."""
        return gone(self._link, self._machines)

    def slots(self) -> int:
        """Return how many nodes the machines build at once."""
        return self._machines.slots()

    def used(self) -> tuple[UsedMachine, ...]:
        """Return the machines that have been there in this run."""
        return self._machines.used()

    def digests(self) -> Mapping[Key, str]:
        """Return the digests of the nodes that the registry has since this run."""
        return self._images.digests()

    def changes(self) -> Mapping[Key, Difference | None]:
        """Return what differs first of the nodes that were compared; None: they hold the same, and were removed."""
        return dict(self._changes)

    def pushes(self) -> ClusterPushes:
        """Return what became of the pushes."""
        return ClusterPushes(self._images, lambda machine: self._link.is_up() and self._machines.has(machine))

    def _ask_for_images(self) -> None:
        """Ask machines which images they have from earlier runs; nothing is known of one that does not answer."""
        images = (*self._plan.kept.values(), *self._plan.compared.values())
        with suppress(NoClusterError):
            answers = self._link.ask(ImagesQuestion(images=images), self._plan.version) if images else {}
            for name, answer in answers.items():
                if isinstance(answer, HeldImages):
                    self._images.note_held(answer.keys, name)

    def _try(self, job: BuildJob) -> Attempt:
        begun, parents = time.monotonic(), [parent.key for parent in packing.parents(job)]
        why = "the image of its parent got lost again and again"
        for _ in range(_MOST_SENDS):
            usable = self._machines.await_usable(job.platform, lasts=self._lasts)
            if self._cancelled.is_set():
                return Attempt(ok=False, why=_INTERRUPTED)
            if not usable:
                return self._without_machine(job.platform)
            spot = self._place(job, parents)
            if not spot.lost:
                made = self._send(job, parents, begun=begun)
                if isinstance(made, Attempt):
                    return made
                why = made.why
            for key in spot.lost:
                again = self._make_again(key, usable=usable, shunned=self._machines.shunned(job.key))
                if not again.ok:
                    return again
        return _lost(why)

    def _without_machine(self, platform: str) -> Attempt:
        if not self._link.is_up():
            return _lost(f"the connection to {self._link.name} broke")
        return Attempt(ok=False, why=f"no machine takes jobs for {platform}", seconds=0.0)

    def _lasts(self) -> bool:
        return self._link.is_up() and not self._cancelled.is_set()

    def _place(self, job: BuildJob, parents: Collection[Key]) -> Placement:
        """Decide where a job may go, as things stand."""
        return placement.place(
            [self._images.whereabouts(key) for key in parents],
            machines=self._machines.usable(job.platform),
            shunned=self._machines.shunned(job.key),
        )

    def _make_again(self, key: Key, *, usable: Collection[str], shunned: Collection[str]) -> Attempt:
        """Make a parent's image again; who comes second takes what the first one made."""
        with self._lock:
            lock = self._remakes.setdefault(key, threading.Lock())
        with lock:
            spot = placement.place([self._images.whereabouts(key)], machines=usable, shunned=shunned)
            if not spot.lost:
                return Attempt(ok=True)
            self._machines.shun(key, shunned)
            return self._try(self._images.job(key))

    def _send(self, job: BuildJob, parents: Collection[Key], *, begun: float) -> "Attempt | _NotBegun":
        """Send a job to one of the machines that may do it, and take in how it ended."""
        try:
            task = self._task(job, parents)
        except InputError as error:
            return Attempt(ok=False, why=str(error))
        self._images.begin(job.key)
        try:
            result = self._dispatcher.do(task)
        except LostMachineError as error:
            if not error.began_on:
                return _NotBegun(str(error))
            self._machines.shun(job.key, [error.began_on])
            return replace(_lost(str(error)), machine=error.began_on)
        return self._taken_in(job, result, took=time.monotonic() - begun)

    def _task(self, job: BuildJob, parents: Collection[Key]) -> Task:
        """Return a try at a job as it is sent. Raises InputError where its files are too big."""
        compared = self._plan.compared.get(job.key)
        needed = [*parents, *([compared.key] if compared else ())]
        remote = RemoteJob(
            job=replace(job, names=()) if compared else job,  # names stay with what they stand for
            repository=self._plan.repository,
            compression=self._plan.compression,
            parents=tuple(self._images.parent(key) for key in parents),
            is_shared=job.key in self._plan.shared,
            replaces=self._doubted.get(job.key, ""),
            compared=compared,
        )
        pinned = {self._images.machine(parent.key) for parent in remote.parents if not parent.digest}

        def where() -> frozenset[str]:
            found = frozenset(self._place(job, parents).machines)
            return found & pinned if pinned else found  # as it is packed, only that machine finds its parent

        return Task(
            name=self._link.try_of(job.key),
            key=job.key,
            version=self._plan.version,
            data=packing.pack(remote),
            priority=self._plan.paths.get(job.key, 0.0),
            seconds=self._plan.seconds.get(job.key, 0.0),
            where=where,
            lacks=lambda machine: self._images.lacks(needed, machine),
        )

    def _taken_in(self, job: BuildJob, result: RemoteResult, *, took: float) -> Attempt:
        attempt = replace(
            result.attempt,
            machine=result.machine,
            slot=self._machines.slot(result.machine, result.slot),
            queued=max(0.0, took - (result.attempt.seconds or 0.0) - result.attempt.waited),
        )
        if not attempt.ok:
            return attempt
        if result.pushed and (why := self._plan.doubt(job.key, result.pushed.digest)):
            self._doubted[job.key] = result.pushed.digest
            flake = Flake(kind=FlakeKind.SERVER) if self._plan.is_signed else None
            return replace(attempt, ok=False, flake=flake, why=why)
        if result.is_same or result.difference:
            self._changes[job.key] = result.difference
        if not result.is_same:
            self._images.add(job, result)
        return attempt

    def _is_same(self, key: Key) -> bool:
        return key in self._changes and self._changes[key] is None

    def _hear_of_job(self, news: JobNews) -> None:
        match news:
            case JobBegan():
                self._begun.put((news.key, news.machine))
            case JobPrinted():
                self._print(news)
            case JobWaits():
                self._waiting(news.key, news.cache)
            case JobPushed():
                self._images.pushed(replace(news.pushed, machine=news.machine, ended=time.monotonic()))

    def _print(self, news: JobPrinted) -> None:
        with self._lock:
            stream = self._streams.get(news.key)
            if stream:
                stream.write("".join(f"{line}\n" for line in news.lines))
        for line in news.lines[-1:]:
            self._said(news.key, line)

    @contextmanager
    def _logged(self, key: Key, stream: LogFile) -> Iterator[None]:
        with self._lock:
            self._streams[key] = stream
        try:
            yield
        finally:
            with self._lock:
                self._streams.pop(key, None)


def _lost(why: str) -> Attempt:
    return Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why=why, seconds=0.0)
