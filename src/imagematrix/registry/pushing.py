"""Pushes nodes to the registry during a build: other machines can use a node as soon as it is pushed."""

import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from imagematrix.errors import NoEngineError, RegistryError
from imagematrix.execution import parallel
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.model import Flake, Key, Pushed, PushStatus, Retry
from imagematrix.planning import transient
from imagematrix.registry import Client
from imagematrix.registry.store import node_name
from imagematrix.registry.vouching import Voucher

LONGEST_WAIT: Final = 120.0
"""How long, in seconds, a registry is left alone at most before the next try."""
_GRACE_SECONDS: Final = 5.0
"""How long an interrupted push may take to end; it is left behind then, and ends with the process."""
_POLL_SECONDS: Final = 0.1


class PushingEngine(Protocol):
    """Who pushes."""

    def tag(self, source: str, name: str) -> None: ...

    def untag(self, name: str) -> None: ...

    def push(self, name: str, *, stopped: Callable[[], bool]) -> str: ...


def push_as(engine: PushingEngine, image: str, name: str, *, stop: threading.Event) -> None:
    """Push an image, by id or name, under a name in a registry. The engine does not keep that name.

    Raises RegistryError, also once `stop` is set, or NoEngineError.
    """
    engine.tag(image, name)
    try:
        engine.push(name, stopped=stop.is_set)
    finally:
        engine.untag(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    why: str
    flake: Flake | None
    """Why it is transient."""


class Pushing:
    """Pushes under way. All methods are for one thread; workers share nothing but queues and `stop`."""

    def __init__(
        self,
        wanted: Collection[Key],
        *,
        voucher: Voucher,
        engine: PushingEngine,
        client: Client,
        jobs: int,
        retries: int,
        stop: threading.Event,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._wanted = frozenset(wanted)
        self._repository = voucher.repository
        self._voucher = voucher
        self._engine = engine
        self._client = client
        self._retries = retries
        self._stop = stop
        self._sleep = sleep or stop.wait
        self._offered: dict[Key, Pushed | None] = {}
        self._waiting: queue.SimpleQueue[tuple[Key, str] | None] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Pushed] = queue.SimpleQueue()
        self._is_silent = threading.Event()
        """The registry did not answer, however often it was asked: until it does, each push is tried once."""
        self._threads = [parallel.start(self._work, name=f"push-{n}") for n in range(jobs)]

    def offer(self, key: Key, image: str) -> None:
        """Push a node, which the engine has as the image with this id, if it is wanted; each is pushed once."""
        if key in self._wanted and key not in self._offered:
            self._offered[key] = None
            self._waiting.put((key, image))

    def news(self) -> tuple[Pushed, ...]:
        """Return what ended since this was last asked."""
        found: list[Pushed] = []
        while not self._news.empty():
            found.append(self._news.get_nowait())
        for pushed in found:
            self._offered[pushed.key] = pushed
        return tuple(found)

    def is_over(self) -> bool:
        """Wait a moment; return whether every offered push has ended, or was interrupted long enough ago."""
        if not self._stop.is_set():
            time.sleep(_POLL_SECONDS)
            return all(self._offered.values())
        deadline = time.monotonic() + _GRACE_SECONDS
        self.close()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return True

    def close(self) -> None:
        """Let the workers end: nothing is offered any more."""
        for _ in self._threads:
            self._waiting.put(None)

    def outcomes(self) -> tuple[Pushed, ...]:
        """Return the outcome of every offered push, in that order."""
        self.news()
        return tuple(pushed or self._interrupted(key) for key, pushed in self._offered.items())

    def _interrupted(self, key: Key) -> Pushed:
        name = node_name(self._repository, key)
        return Pushed(key=key, name=name, status=PushStatus.INTERRUPTED, why="interrupted")

    def _work(self) -> None:
        while (node := self._waiting.get()) is not None and not self._stop.is_set():
            self._news.put(self._push(*node))

    def _push(self, key: Key, image: str) -> Pushed:
        begun, tries = time.monotonic(), 0
        retries: list[Retry] = []

        def attempt() -> _Failure | str:
            nonlocal tries
            tries += 1
            return self._try(key, image)

        ended = self._backoff().settle(attempt, _passing, retries.append)
        failure = ended if isinstance(ended, _Failure) else None
        silent = failure is not None and failure.flake is not None
        (self._is_silent.set if silent else self._is_silent.clear)()
        if failure and self._stop.is_set():
            return self._interrupted(key)
        return Pushed(
            key=key,
            name=node_name(self._repository, key),
            status=PushStatus.FAILED if failure else PushStatus.PUSHED,
            seconds=time.monotonic() - begun,
            attempts=tries,
            retries=tuple(retries),
            digest="" if isinstance(ended, _Failure) else ended,
            why=failure.why if failure else "",
        )

    def _try(self, key: Key, image: str) -> _Failure | str:
        """Push a node once, unless it exists there; return its digest there."""
        name = node_name(self._repository, key)
        try:
            held = self._client.digest(self._repository, key)
            why = self._voucher.doubt(key, held) if held else ""
            if held and not why:  # another machine was faster, or the last try was
                return held
            if why and not self._voucher.signer:
                return _Failure(why=f"{why}. Remove it from the registry, and push again", flake=None)
            push_as(self._engine, image, name, stop=self._stop)
            return self._arrived(key, image)
        except (RegistryError, NoEngineError) as error:
            return _Failure(why=str(error), flake=transient.of_registry(error, self._repository))
        except Exception as error:  # noqa: BLE001  (a worker's failure is that of its push, never lost)
            return _Failure(why=f"{type(error).__name__}: {error}", flake=None)

    def _arrived(self, key: Key, image: str) -> _Failure | str:
        """Return the digest of what the registry has after a push, where that is what was pushed."""
        found = self._client.manifest(self._repository, key)
        if image in (found.digest, found.config):
            self._voucher.sign(key, found.digest)
            return found.digest
        why = f"after the push the registry has another image under {key} ({found.digest}): someone moved the tag"
        return _Failure(why=why, flake=None)

    def _backoff(self) -> Backoff:
        tries = 1 if self._is_silent.is_set() else self._retries + 1
        return Backoff(tries=tries, longest=LONGEST_WAIT, stop=self._stop, sleep=self._sleep)


def _passing(ended: _Failure | str) -> Passing | None:
    return Passing(why=ended.why, flake=ended.flake) if isinstance(ended, _Failure) and ended.flake else None
