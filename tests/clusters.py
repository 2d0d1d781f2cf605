"""A real Dask scheduler and workers in this process; their machines are folders, as in `folders`."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.folders import FolderExecutor, digest

from imagematrix import __version__
from imagematrix.cluster import Cluster, ClusterPlan, Link, service
from imagematrix.cluster.answering import held
from imagematrix.cluster.machine import BuildMachine, HeldNode
from imagematrix.cluster.messages import Answer, ImagesQuestion, MachineFacts, NoAnswer, Question, RemoteParent
from imagematrix.cluster.plugins import ClusterPlugin
from imagematrix.cluster.security import address
from imagematrix.cluster.voice import Voice
from imagematrix.errors import SilentRegistryError
from imagematrix.model import KEY_LABEL, Attempt, BuildJob, Key, NodePull, Plan, Pushed, PushStatus, Site
from imagematrix.planning import estimates, placement
from imagematrix.planning.ready_queue import remaining_paths
from imagematrix.planning.reproducible import Difference, Fingerprint, difference
from imagematrix.registry import Client, Manifest
from imagematrix.registry.answers import ImageConfig, _Config

REGISTRY = "registry.example.com/nodes"
_IMAGE_BYTES = 50_000_000_000
"""Nobody would pull it without need."""
NO_ANSWER = NoAnswer(why="its engine does not answer")
_T = TypeVar("_T")


@dataclass
class FolderMachine:
    """A machine: a folder of images, and what it does and is made to suffer."""

    root: Path
    name: str
    attempt: Callable[[BuildJob], Attempt | None] = lambda _job: None
    """Ends a build otherwise than well."""
    seconds: Callable[[BuildJob], float] = lambda _job: 0.0
    is_registry_away: bool = False
    refused: Collection[Key] = ()
    """What the registry does not take."""
    pushes: Collection[Key] | None = None
    """What it pushes, before it is stopped; None: everything."""
    answer: Answer = NO_ANSWER
    """To any question but which images it has."""
    downloads: Callable[[BuildJob], str] = lambda _job: ""
    """What a build downloads."""
    compares: Callable[[], object] = lambda: None
    """What happens while it compares."""
    done: list[Key] = field(default_factory=list)
    """What it built, in order."""
    pulled: list[Key] = field(default_factory=list)
    pushed: list[Key] = field(default_factory=list)
    removed: list[Key] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._folders = FolderExecutor(self.root, machines=(self.name,))
        self._ids: dict[str, Key] = {}

    def answered(self, question: Question) -> Answer:
        return held(question, self._ids.keys()) if isinstance(question, ImagesQuestion) else self.answer

    @contextmanager
    def opened(self, voice: Voice, _compression: str) -> Iterator["FolderMachine"]:
        """Open it for a run: it is its own host."""
        self._voice = voice
        self.stopped.clear()  # by the end of the run before
        yield self

    def image(self, ids: tuple[str, ...]) -> str:
        return next((each for each in ids if each in self._ids), "")

    def held(self, repository: str, key: Key) -> HeldNode | None:
        self._reach()
        folder = self.root / repository / key
        return HeldNode(ids=(digest(folder),), digest=digest(folder)) if folder.exists() else None

    def do(self, job: BuildJob) -> Attempt:
        self.begun.set()
        self._voice.say(job.key, f"{job.layer} on {self.name}")
        is_pull, folder = isinstance(job.work, NodePull), self.root / self.name / job.key
        if self.stopped.wait(0.0 if is_pull else self.seconds(job)):
            return Attempt(ok=False, why="cancelled")
        if not is_pull and (wrong := self.attempt(job)):
            return wrong
        made = self._folders._attempt(self.name, job)
        if made.ok:
            if not is_pull:
                (folder / f"{job.layer}.downloads").write_text(self.downloads(job))
            self._ids[digest(folder)] = job.key
            (self.pulled if is_pull else self.done).append(job.key)
        return Attempt(ok=made.ok, why=made.why, image=digest(self.root / self.name / job.key) if made.ok else "")

    def push(self, repository: str, key: Key, image: str, *, replaces: str = "") -> Pushed:
        if self.pushes is not None and key not in self.pushes:
            self.stopped.wait(30)
        name = f"{repository}:{key}"
        if self.stopped.is_set():
            return Pushed(key=key, name=name, status=PushStatus.INTERRUPTED, why="interrupted")
        if self.is_registry_away or key in self.refused:
            return Pushed(key=key, name=name, status=PushStatus.FAILED, attempts=3, why="the registry is away")
        there = self.root / repository / key
        if replaces and digest(there) == replaces:
            shutil.rmtree(there)
        shutil.copytree(self.root / self.name / key, there)
        self.pushed.append(key)
        return Pushed(key=key, name=name, status=PushStatus.PUSHED, attempts=1, digest=image)

    def difference(self, old: str, new: str) -> Difference | None:
        """Compare folders, without the arguments and labels of builds."""
        self.compares()
        before, after = (_content(self.root / self.name / self._ids[image]) for image in (old, new))
        return difference(before, after)

    def remove(self, key: Key) -> None:
        shutil.rmtree(self.root / self.name / key)
        for image in [image for image, other in tuple(self._ids.items()) if other == key]:
            self._ids.pop(image)
        self.removed.append(key)

    def size(self, image: str) -> int:
        return 200_000_000 if image else 0

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Say what was checked."""
        return b" ".join((kit, task, image.encode()))

    def cancel(self) -> None:
        self.stopped.set()

    def _reach(self) -> None:
        if self.is_registry_away:
            raise SilentRegistryError("the registry is away")


def _content(folder: Path) -> Mapping[str, Fingerprint]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    return {str(path.relative_to(folder)): _fingerprint(path) for path in files}


def _fingerprint(path: Path) -> Fingerprint:
    return Fingerprint(kind="file", mode="644", owner="0:0", time=0, target="", content=path.read_text())


class FolderClient(Client):
    """Asks the registry of such machines."""

    def __init__(self, root: Path) -> None:
        super().__init__(Site())
        self._root = root

    def digests(self, repository: str, tags: Collection[str]) -> Mapping[str, str]:
        folders = {tag: self._root / repository / tag for tag in tags}
        return {tag: digest(folder) for tag, folder in folders.items() if folder.exists()}

    def manifests(self, repository: str, tags: Collection[str]) -> Mapping[str, Manifest]:
        return {tag: _manifest(repository, tag) for tag in tags}

    def configs(self, repository: str, digests: Collection[str]) -> Mapping[str, ImageConfig]:
        keys = {digest(folder): folder.name for folder in (self._root / repository).iterdir()}
        return {each: ImageConfig(config=_Config(Labels={KEY_LABEL: keys[each]})) for each in digests}


def _manifest(repository: str, digest: str) -> Manifest:
    return Manifest(
        repository=repository, digest=digest, media_type="", text=b"", blobs={digest: _IMAGE_BYTES}, config=digest
    )


class LocalCluster:
    """A scheduler, and workers that may come and go."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._workers: dict[str, Any] = {}
        self._scheduler = self.run(self._schedule(0))
        self.address: str = self._scheduler.address

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def add(self, machine: FolderMachine, *, slots: int = 2, **facts: Any) -> FolderMachine:
        """Let a machine join."""
        known = {"name": machine.name, "version": __version__, "platform": "linux/amd64", **facts}
        made = BuildMachine(MachineFacts(**known, slots=slots), machine.opened, answers=machine.answered)
        self.join(made)
        return machine

    def join(self, machine: BuildMachine) -> None:
        self._workers[machine.facts.name] = self.run(self._join(machine))

    def kill(self, name: str) -> None:
        """Cut a machine's connection, as when its power fails: no word to the scheduler."""
        worker = self._workers.pop(name)
        self.run(self._cut(worker))

    def away(self, name: str, why: str) -> None:
        """Let a machine say that it takes no jobs, as one does whose engine does not answer."""
        trouble = service.Trouble(why=why, ends_jobs=True)
        worker, plugin = self._workers[name], self._scheduler.plugins[ClusterPlugin.name]
        self._loop.call_soon_threadsafe(service.turn, worker, trouble)
        until(lambda: worker.address in plugin._away)

    def forget(self, name: str) -> None:
        """Let the scheduler not find a machine, as when it has left and the coordinator has not heard of it."""
        del self._scheduler.plugins[ClusterPlugin.name]._addresses[name]

    def restart_scheduler(self) -> None:
        """Kill the scheduler, and start another one at the same address."""
        port = int(self.address.rpartition(":")[2])
        self.run(self._scheduler.close(reason="killed"))
        self._scheduler = self.run(self._schedule(port))

    def close(self) -> None:
        for worker in self._workers.values():
            self.run(worker.close(timeout=5, executor_wait=False))
        self.run(self._scheduler.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _schedule(self, port: int) -> Any:
        made = service.dask_scheduler(address(f"tcp://127.0.0.1:{port}"), None)
        scheduler = await made
        await scheduler.register_scheduler_plugin(ClusterPlugin(), name=ClusterPlugin.name, idempotent=True)
        return scheduler

    async def _join(self, machine: BuildMachine) -> Any:
        return await service.dask_worker(self.address, None, machine, self._root / "dask")

    async def _cut(self, worker: Any) -> None:
        worker.batched_stream.abort()
        for machine in worker.plugins.values():
            if hasattr(machine, "machine"):
                machine.machine.close()
        await self._scheduler.remove_worker(worker.address, stimulus_id="killed", close=False)
        await worker.close(timeout=5, executor_wait=False, nanny=False)


@contextmanager
def coordinator(
    cluster: LocalCluster,
    plan: Plan,
    logs: Callable[[str], Any],
    *,
    kept: Mapping[Key, RemoteParent] | None = None,
    said: Callable[[Key, str], None] = lambda _key, _line: None,
) -> Iterator[tuple[Cluster, int]]:
    """Give an executor of a plan, and how many jobs it wants at once."""
    link = Link(address(cluster.address), "", who="a test")
    executor = Cluster(link, cluster_plan(plan, kept or {}), logs=logs, said=said, waiting=lambda _key, _cache: None)
    try:
        yield executor, executor.open()
    finally:
        link.close()


def cluster_plan(
    plan: Plan, kept: Mapping[Key, RemoteParent], *, seconds: Mapping[Key, float] | None = None
) -> ClusterPlan:
    known = seconds or estimates.seconds(plan.steps)
    return ClusterPlan(
        version=__version__,
        repository=REGISTRY,
        compression="gzip",
        platforms={step.node.platform for step in plan.steps},
        seconds=known,
        paths=remaining_paths(plan.steps, known),
        shared=placement.shared(plan),
        final=frozenset(plan.final_nodes.values()),
        kept=kept,
        doubt=lambda _key, _digest: "",
    )


def until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
