"""One machine of a cluster: does jobs with its own engine, its own site and its own logins."""

import heapq
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from imagematrix.cluster import packing
from imagematrix.cluster.messages import (
    Answer,
    JobBegan,
    JobEnded,
    JobPushed,
    MachineFacts,
    NoAnswer,
    Question,
    RemoteChecks,
    RemoteJob,
    RemoteParent,
    RemoteResult,
)
from imagematrix.cluster.voice import Tell, Voice
from imagematrix.errors import InputError, NoEngineError, RegistryError
from imagematrix.execution import parallel
from imagematrix.model import Attempt, BuildJob, Flake, FlakeKind, Key, NodePull, Pushed, PushStatus
from imagematrix.planning.reproducible import Difference
from imagematrix.secrecy import hidden

if TYPE_CHECKING:
    from imagematrix.execution.parallel import ThreadPoolExecutor

PUSHES: Final = 2
"""How many images a machine pushes at once beside its builds, and how many of those that others wait for."""
_PULL_SECONDS: Final = 7200.0
_FULL: Final = "no space left on device"
_TRACE_LINES: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNode:
    """A node as the registry has it."""

    ids: tuple[str, ...]
    """What engines may call it."""
    digest: str


class Host(Protocol):
    """What a machine can do, for one run."""

    def image(self, ids: tuple[str, ...]) -> str:
        """Return the id under which the engine has an image; empty: it has none of these."""

    def held(self, repository: str, key: Key) -> HeldNode | None:
        """Return a node as the registry has it. Raises RegistryError."""

    def do(self, job: BuildJob) -> Attempt:
        """Build or pull."""

    def push(self, repository: str, key: Key, image: str, *, replaces: str) -> Pushed:
        """Push an image as a node, unless the registry has one: another than that with the digest `replaces`."""

    def difference(self, old: str, new: str) -> Difference | None:
        """Return what differs first between two images of a node, by their ids; None: they hold the same."""

    def remove(self, key: Key) -> None:
        """Remove the image of a node."""

    def size(self, image: str) -> int:
        """Return the size of an image."""

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Check an image, by its id."""

    def cancel(self) -> None:
        """Make everything that runs return soon."""


OpenHost = Callable[["Voice", str], AbstractContextManager[Host]]
"""Opens the host of one run, which compresses images so."""


def _nothing(_question: Question) -> Answer:
    return NoAnswer(why="it answers no questions")


class BuildMachine:
    """Does the jobs that reach this machine, each in a thread."""

    def __init__(
        self,
        facts: MachineFacts,
        open_host: OpenHost,
        *,
        pushes: int = PUSHES,
        answers: Callable[[Question], Answer] = _nothing,
    ) -> None:
        """Take what it is, what opens the host of a run, how many pushes run at once, and what answers questions."""
        self.facts = facts
        self._pushes = pushes
        self._open = open_host
        self._answers = answers
        self._tell: Tell = lambda _run, _news: None
        self._lock = threading.Lock()
        self._slots = list(range(facts.slots))
        self._freed = threading.Condition(self._lock)
        self._pool: ThreadPoolExecutor | None = None
        self._bench: _Bench | None = None
        self._stopped = ""
        """The run that was stopped last: its late jobs do nothing."""

    def listen(self, tell: Tell) -> None:
        """Send news to `tell` from now on."""
        self._tell = tell

    def begin(self, run: str, task: str, version: str, data: bytes) -> None:
        """Begin a job, packed by a coordinator of some version, when a worker slot is free; tell how it ended."""
        if self._pool is None:
            self._pool = parallel.ThreadPoolExecutor(self.facts.slots, thread_name_prefix="job")
        self._pool.submit(self._do, run, task, version, data)

    def answer(self, version: str, data: bytes) -> bytes:
        """Answer a question, packed by a command of some version; another version gets no answer."""
        if version != self.facts.version:
            return b""
        return pickle.dumps(self._answers(pickle.loads(data)))  # noqa: S301  (mutual TLS: only who may build asks)

    def stop(self, run: str) -> None:
        """Stop everything of a run."""
        with self._lock:
            self._stopped = run
            bench = self._bench
        if bench and bench.run == run:
            bench.cancel()

    def close(self) -> None:
        """Stop everything."""
        with self._lock:
            bench, self._bench = self._bench, None
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=False, cancel_futures=True)
        if bench:
            bench.close()

    def _do(self, run: str, task: str, version: str, data: bytes) -> None:
        self._tell(run, JobEnded(task=task, result=self._work_in_slot(run, task, version, data)))

    def _work_in_slot(self, run: str, task: str, version: str, data: bytes) -> RemoteResult:
        with self._freed:
            self._freed.wait_for(lambda: self._slots)  # what was stopped may still end
            slot = heapq.heappop(self._slots)
        try:
            return self._work(run, task, version, data, slot)
        except Exception as error:  # noqa: BLE001  (what is raised here would look like a fault of Dask's)
            lines = "".join(traceback.format_exception(error)).splitlines()
            attempt = Attempt(ok=False, why=f"{type(error).__name__}: {error}", tail=tuple(lines[-_TRACE_LINES:]))
            return RemoteResult(attempt=attempt, machine=self.facts.name, slot=slot)
        finally:
            with self._freed:
                heapq.heappush(self._slots, slot)
                self._freed.notify()

    def _work(self, run: str, task: str, version: str, data: bytes, slot: int) -> RemoteResult:
        if version != self.facts.version:  # what was packed there may not even be readable here
            return self._refusal(slot, f"has imagematrix {self.facts.version}, this run is of {version}")
        remote = packing.unpack(data)
        try:
            bench = self._bench_of(run, remote.compression)
        except NoEngineError as error:
            return self._refusal(slot, f"has no usable engine: {error}")
        if bench is None:
            return self._refusal(slot, "was stopped")
        key = remote.job.key if isinstance(remote, RemoteJob) else remote.image.key
        self._tell(run, JobBegan(task=task, key=key, machine=self.facts.name, slot=slot))
        return bench.work(remote, slot)

    def _refusal(self, slot: int, why: str) -> RemoteResult:
        attempt = Attempt(ok=False, flake=Flake(kind=FlakeKind.ENGINE), why=f"{self.facts.name} {why}", seconds=0.0)
        return RemoteResult(attempt=attempt, machine=self.facts.name, slot=slot)

    def _bench_of(self, run: str, compression: str) -> "_Bench | None":
        """Return what does the jobs of a run; a new run closes that of the one before. None: it was stopped."""
        with self._lock:
            if run == self._stopped:
                return None
            if self._bench is None or self._bench.run != run:
                if self._bench:
                    self._bench.close()
                self._bench = None
                self._bench = _Bench(run, compression, self.facts.name, self._open, self._tell, self._pushes)
            return self._bench


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What came of a job, as in `RemoteResult`."""

    attempt: Attempt
    pushed: Pushed | None = None
    checked: bytes = b""
    is_same: bool = False
    difference: Difference | None = None


class _Bench:
    """Does the jobs of one run."""

    def __init__(self, run: str, compression: str, machine: str, open_host: OpenHost, tell: Tell, pushes: int) -> None:
        self.run = run
        self._machine = machine
        self._tell = tell
        self._voice = Voice(self.run, tell)
        self._resources = ExitStack()
        self._host = self._resources.enter_context(open_host(self._voice, compression))
        self._pushing = self._pushers(pushes)
        self._pushing_shared = self._pushers(pushes)
        self._guard = threading.Lock()
        self._pulls: dict[Key, threading.Lock] = {}
        """One pull of a node at a time: two of them would take away each other's names."""

    def work(self, remote: RemoteJob | RemoteChecks, slot: int) -> RemoteResult:
        """Do a job: look whether it is done already, get its parents, build, push; or get an image and check it."""
        begun, pulled = time.monotonic(), _Stopwatch()
        try:
            made = self._check(remote, pulled) if isinstance(remote, RemoteChecks) else self._do(remote, pulled)
        except (RegistryError, NoEngineError) as error:
            kind = FlakeKind.NETWORK if isinstance(error, RegistryError) else FlakeKind.ENGINE
            made = _Made(attempt=Attempt(ok=False, flake=Flake(kind=kind), why=f"{self._machine}: {error}"))
        except InputError as error:
            made = _Made(attempt=Attempt(ok=False, why=str(error)))
        finally:
            self._voice.flush()
        size = 0
        if made.attempt.ok and not made.pushed and not made.is_same:
            with suppress(NoEngineError):
                size = self._host.size(made.attempt.image)
        attempt = replace(
            _judged(made.attempt, self._machine),
            seconds=time.monotonic() - begun - made.attempt.waited,
            pulled=pulled.seconds,
        )
        return RemoteResult(
            attempt=_without_secrets(attempt),
            machine=self._machine,
            slot=slot,
            pushed=made.pushed,
            size=size,
            checked=made.checked,
            is_same=made.is_same,
            difference=made.difference,
        )

    def cancel(self) -> None:
        """Make everything that runs return soon."""
        self._host.cancel()

    def close(self) -> None:
        """Cancel what runs, and remove what belongs to this run alone."""
        self._host.cancel()
        self._resources.close()

    def _check(self, remote: RemoteChecks, pulled: "_Stopwatch") -> _Made:
        image = self._image(remote.repository, remote.image, _pull_of(remote), pulled)
        return _Made(attempt=Attempt(ok=True, image=image), checked=self._host.check(remote.kit, remote.task, image))

    def _do(self, remote: RemoteJob, pulled: "_Stopwatch") -> _Made:
        job = remote.job
        if there := self._there(remote):  # another machine was faster, or a lost result
            return there
        # What a trial is compared with comes first: where nobody can pull it, nothing is built.
        old = self._image(remote.repository, remote.compared, job, pulled) if remote.compared else ""
        images = {parent.key: self._image(remote.repository, parent, job, pulled) for parent in remote.parents}
        attempt = self._host.do(packing.with_images(job, images))
        if not attempt.ok:
            return _Made(attempt=attempt)
        if there := self._there(remote):  # by a machine that was cut off: what follows is built on that image
            return there
        difference = self._host.difference(old, attempt.image) if old else None
        if old and difference is None:
            self._host.remove(job.key)
            return _Made(attempt=attempt, is_same=True)
        pool = self._pushing_shared if remote.is_shared else self._pushing
        pool.submit(self._push, remote, attempt.image)
        return _Made(attempt=attempt, difference=difference)

    def _there(self, remote: RemoteJob) -> _Made | None:
        """Return the image that the registry has of a job's node, as what a try made."""
        key = remote.job.key
        held = self._host.held(remote.repository, key)
        if held is None or held.digest == remote.replaces:
            return None
        name = f"{remote.repository}:{key}"
        pushed = Pushed(key=key, name=name, status=PushStatus.PUSHED, digest=held.digest)
        return _Made(attempt=Attempt(ok=True, image=held.ids[0]), pushed=pushed)

    def _pushers(self, number: int) -> "ThreadPoolExecutor":
        return self._resources.enter_context(parallel.pool(number, name="push", waits=False))

    def _push(self, remote: RemoteJob, image: str) -> None:
        try:
            pushed = self._host.push(remote.repository, remote.job.key, image, replaces=remote.replaces)
        except Exception as error:  # noqa: BLE001  (a thread of a pool: who waits for this push must hear of it)
            name = f"{remote.repository}:{remote.job.key}"
            pushed = Pushed(key=remote.job.key, name=name, status=PushStatus.FAILED, attempts=1, why=str(error))
        self._tell(self.run, JobPushed(machine=self._machine, pushed=pushed))

    def _image(self, repository: str, parent: RemoteParent, job: BuildJob, pulled: "_Stopwatch") -> str:
        """Return the id of an image on this engine, pulled if need be. Raises RegistryError and NoEngineError."""
        with self._guard:
            lock = self._pulls.setdefault(parent.key, threading.Lock())
        with pulled.running(), lock:
            if image := self._host.image(parent.ids):
                return image
            if not parent.digest:
                raise NoEngineError(
                    f"the image of the parent is gone from the engine, and was not pushed: {parent.key}"
                )
            pull = NodePull(repository=repository, digest=parent.digest)
            made = self._host.do(replace(job, key=parent.key, work=pull, names=(), push_to=""))
            if not made.ok:
                raise RegistryError(made.why)
            return made.image


def _pull_of(remote: RemoteChecks) -> BuildJob:
    """Return the job that pulls an image to be checked."""
    pull = NodePull(repository=remote.repository, digest=remote.image.digest)
    return BuildJob(
        key=remote.image.key, layer="image", work=pull, platform="", names=(), push_to="", seconds=_PULL_SECONDS
    )


class _Stopwatch:
    """Adds up seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begun


def _judged(attempt: Attempt, machine: str) -> Attempt:
    """Return an attempt that failed on a full disk as this machine's own fault: another one may have room."""
    if attempt.ok or attempt.flake or not any(_FULL in line.lower() for line in (attempt.why, *attempt.tail)):
        return attempt
    return replace(attempt, flake=Flake(kind=FlakeKind.ENGINE), why=f"{machine}: its disk is full: {attempt.why}")


def _without_secrets(attempt: Attempt) -> Attempt:
    """Return an attempt without the values that only this machine knows as secrets."""
    return replace(attempt, why=hidden(attempt.why), tail=tuple(map(hidden, attempt.tail)))
