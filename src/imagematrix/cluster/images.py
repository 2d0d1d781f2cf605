"""Where the images of a run are: which machine made them, whether they are pushed, and what becomes of their pushes."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.cluster import packing
from imagematrix.cluster.messages import RemoteParent, RemoteResult
from imagematrix.model import BuildJob, Key, Pushed, PushStatus
from imagematrix.planning.placement import Whereabouts

_POLL_SECONDS: Final = 1.0
"""How soon a waiting thread sees that the connection broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image that a machine made in this run."""

    job: BuildJob
    """How to make it again."""
    machine: str
    image: str


class ClusterImages:
    """What is known of the images of a run. Its methods may be called from any thread."""

    def __init__(
        self, kept: Mapping[Key, RemoteParent], shared: Collection[Key], compared: Collection[RemoteParent] = ()
    ) -> None:
        """Take what the registry had before the run, the nodes that several are built on, and what is compared."""
        self._kept = kept
        self._shared = shared
        self._unheard: set[Key] = set()
        """Images whose pushes may have ended unheard."""
        self._made: dict[Key, MadeImage] = {}
        self._pushes: dict[Key, Pushed] = {}
        """Those that have ended."""
        self._news: list[Pushed] = []
        self._bytes = {parent.key: parent.bytes for parent in (*kept.values(), *compared)}
        self._holders: dict[Key, set[str]] = defaultdict(set)
        """The machines that have an image."""
        self._lock = threading.RLock()
        self._waits: dict[Key, threading.Condition] = {}
        """Who waits for the end of a push: each for its own, as many wait at once."""

    def begin(self, key: Key) -> None:
        """Note that an image is about to be made: how an earlier push of it failed says nothing any more."""
        with self._lock:
            if not self._is_pushed(key):
                self._pushes.pop(key, None)

    def add(self, job: BuildJob, result: RemoteResult) -> None:
        """Note an image that a machine made, or found in the registry."""
        with self._lock:
            self._made[job.key] = MadeImage(job=job, machine=result.machine, image=result.attempt.image)
            self._unheard.discard(job.key)
            if not result.pushed:
                self._bytes[job.key] = result.size
                self._hold((job.key, *(parent.key for parent in packing.parents(job))), result.machine)
        if result.pushed:
            self.pushed(result.pushed)

    def pushed(self, push: Pushed) -> None:
        """Note how a push ended. What the registry has once stays there."""
        with self._lock:
            before = self._pushes.get(push.key)
            if before is None or before.status is not PushStatus.PUSHED:
                self._pushes[push.key] = push
                self._news.append(push)
            if push.key in self._waits:
                self._waits[push.key].notify_all()

    def wake(self) -> None:
        """Let those who wait for a push look again whether it can still come."""
        with self._lock:
            for wait in self._waits.values():
                wait.notify_all()

    def missed_news(self) -> None:
        """Take it that pushes may have ended unheard: nobody waits for them any more."""
        with self._lock:
            self._unheard.update(self._made.keys() - self._pushes.keys())
        self.wake()

    def await_push(self, key: Key, *, lasts: Callable[[], bool]) -> Pushed | None:
        """Wait for the end of a push; None: it is not heard of any more, for instance because `lasts` became false."""
        with self._lock:
            while key not in self._pushes and key not in self._unheard and lasts():
                self._waits.setdefault(key, threading.Condition(self._lock)).wait(_POLL_SECONDS)
            self._waits.pop(key, None)
            return self._pushes.get(key)

    def whereabouts(self, key: Key) -> Whereabouts:
        """Return where a parent's image is."""
        with self._lock:
            made = self._made.get(key)
            is_pushed = key in self._kept or self._is_pushed(key)
        machine = made.machine if made else ""
        return Whereabouts(key=key, machine=machine, is_pushed=is_pushed, is_shared=key in self._shared)

    def note_held(self, keys: Collection[Key], machine: str) -> None:
        """Note images that a machine has from earlier runs."""
        with self._lock:
            self._hold(keys, machine)

    def machine(self, key: Key) -> str:
        """Return the machine that made an image in this run."""
        with self._lock:
            return self._made[key].machine

    def lacks(self, keys: Collection[Key], machine: str) -> float:
        """Return about how many bytes a machine must pull to have some images."""
        with self._lock:
            return sum(self._missing(key, machine) for key in keys)

    def parent(self, key: Key) -> RemoteParent:
        """Return how any machine finds a parent's image."""
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            digest = self._pushes[key].digest if self._is_pushed(key) else ""
            ids = (self._made[key].image, digest) if digest else (self._made[key].image,)
        return RemoteParent(key=key, ids=ids, digest=digest)

    def job(self, key: Key) -> BuildJob:
        """Return the job that makes an image again."""
        with self._lock:
            return self._made[key].job

    def image(self, key: Key) -> str:
        """Return the id of the image that was made of a node."""
        with self._lock:
            return self._made[key].image

    def news(self) -> tuple[Pushed, ...]:
        """Return the pushes that ended since this was last asked."""
        with self._lock:
            news, self._news = tuple(self._news), []
        return news

    def unpushed(self) -> Mapping[Key, str]:
        """Return the images whose pushes have not ended, with their machines."""
        with self._lock:
            waited = self._made.keys() - self._pushes.keys() - self._unheard
            return {key: self._made[key].machine for key in waited}

    def pushes(self) -> tuple[Pushed, ...]:
        """Return how the pushes of this run ended; what the registry had already was not pushed."""
        with self._lock:
            return tuple(push for push in self._pushes.values() if push.attempts)

    def digests(self) -> Mapping[Key, str]:
        """Return the digests of what the registry has by now, also of what it had already when a machine looked."""
        with self._lock:
            return {key: push.digest for key, push in self._pushes.items() if self._is_pushed(key)}

    def _is_pushed(self, key: Key) -> bool:
        push = self._pushes.get(key)
        return push is not None and push.status is PushStatus.PUSHED

    def _hold(self, keys: Collection[Key], machine: str) -> None:
        for key in keys:
            self._holders[key].add(machine)

    def _missing(self, key: Key, machine: str) -> float:
        """Return the bytes of an image without those of the nearest one below it that a machine has."""
        below: Key | None = key
        while below and machine not in self._holders[below]:
            made = self._made.get(below)
            below = next((parent.key for parent in packing.parents(made.job)), None) if made else None
        return self._bytes.get(key, 0) - (self._bytes.get(below, 0) if below else 0)
