"""Checks of images on the machines of a cluster: each is sent to a machine, and again if that went away."""

import queue
import threading
from collections.abc import Collection
from typing import Final

from imagematrix.cluster import packing
from imagematrix.cluster.dispatcher import Dispatcher, Task
from imagematrix.cluster.link import Link, LostMachineError
from imagematrix.cluster.machines import gone
from imagematrix.cluster.messages import (
    CHECKS,
    GPU,
    JobBegan,
    JobNews,
    RemoteChecks,
    RemoteParent,
    RemoteResult,
)
from imagematrix.errors import NoClusterError
from imagematrix.model import Attempt, Key

_TRIES: Final = 3


class ClusterChecks:
    """Checks images on machines. `check` may be called from any thread."""

    def __init__(self, link: Link, *, version: str, platforms: Collection[str], repository: str, kit: bytes) -> None:
        """Take a connection, what machines must be of, the node cache, and what all checks need.

        `platforms` are those of the images: a run needs a machine for each.
        """
        self._link = link
        self._version = version
        self._platforms = platforms
        self._repository = repository
        self._kit = kit
        self._dispatcher = Dispatcher(link, version=version, platforms=platforms, heard=self._hear_of_job)
        self._machines = self._dispatcher.machines
        self._begun: queue.SimpleQueue[tuple[Key, str]] = queue.SimpleQueue()
        self._cancelled = threading.Event()

    def open(self) -> int:
        """Connect; return how many images are checked at once. Raises NoClusterError."""
        self._dispatcher.open()
        for platform in sorted(self._platforms):
            if not self._checking(platform):
                raise NoClusterError(
                    f"no machine of the cluster at {self._link.name} checks images for {platform}\n"
                    "    install imagematrix[cluster,verify] on them, and start their workers again"
                )
        return self._machines.slots()

    def check(
        self, image: RemoteParent, task: bytes, *, platform: str, needs_gpu: bool, priority: float
    ) -> RemoteResult:
        """Check an image for a Docker platform; what a machine's own fault cut short is tried on another one."""
        result = _lost("no machine takes jobs")
        for _ in range(_TRIES):
            if self._cancelled.is_set() or not self._places(image.key, platform, needs_gpu=needs_gpu):
                return result
            try:
                result = self._dispatcher.do(self._task(image, task, platform, priority, needs_gpu=needs_gpu))
            except LostMachineError as error:
                result = _lost(str(error))
                self._machines.shun(image.key, filter(None, [error.began_on]))
                continue
            if result.attempt.ok or not result.attempt.flake:
                return result
        return result

    def begun(self) -> tuple[tuple[Key, str], ...]:
        """Return the images whose checks began since this was last asked, with their machines."""
        found = []
        while not self._begun.empty():
            found.append(self._begun.get_nowait())
        return tuple(found)

    def gone(self) -> str:
        """Say why the cluster does nothing any more; empty: it would."""
        return gone(self._link, self._machines)

    def cancel(self) -> None:
        """Stop the checks of this run on all machines."""
        self._cancelled.set()
        self._dispatcher.give_up("interrupted")
        self._link.stop()

    def _checking(self, platform: str) -> frozenset[str]:
        return self._machines.usable(platform) & self._machines.labelled(CHECKS)

    def _places(self, key: Key, platform: str, *, needs_gpu: bool) -> frozenset[str]:
        usable = self._checking(platform)
        better = usable & self._machines.labelled(GPU) if needs_gpu else usable
        wanted = better or usable
        return wanted.difference(self._machines.shunned(key)) or wanted

    def _task(self, image: RemoteParent, task: bytes, platform: str, priority: float, *, needs_gpu: bool) -> Task:
        remote = RemoteChecks(repository=self._repository, compression="", image=image, kit=self._kit, task=task)
        return Task(
            name=self._link.try_of(image.key),
            key=image.key,
            version=self._version,
            data=packing.pack_checks(remote),
            priority=priority,
            seconds=0.0,
            where=lambda: self._places(image.key, platform, needs_gpu=needs_gpu),
            lacks=lambda _machine: 0.0,
        )

    def _hear_of_job(self, news: JobNews) -> None:
        if isinstance(news, JobBegan):
            self._begun.put((news.key, news.machine))


def _lost(why: str) -> RemoteResult:
    return RemoteResult(attempt=Attempt(ok=False, why=why), machine="", slot=0)
