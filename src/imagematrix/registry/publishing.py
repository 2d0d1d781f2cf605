"""Publishes images beside builds: nodes to the node cache, the images of rows under their tags."""

import functools
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from imagematrix.execution import parallel
from imagematrix.model import Key, Pushed, Row
from imagematrix.planning.publication import Publication
from imagematrix.registry.indexes import IndexPublisher, OfferedRow
from imagematrix.registry.publisher import Publisher

_GRACE_SECONDS: Final = 5.0
"""How long an interrupted push may take to end; it is left behind then, and ends with the process."""
_POLL_SECONDS: Final = 0.1

Ended = Pushed | Publication
_Shared = tuple[tuple[str, ...], str]
"""Repositories and tag: what the rows of several Docker platforms have in common."""


class Publishing:
    """Images that are being published, some at once. All methods are for one thread; see `beside`."""

    def __init__(
        self,
        publisher: Publisher,
        jobs: int,
        wanted: Collection[Key],
        stop: threading.Event,
    ) -> None:
        self._publisher = publisher
        self._together = IndexPublisher(publisher)
        self._gathered: dict[_Shared, list[OfferedRow]] = {}
        """Rows that wait for those of the other platforms."""
        self._wanted = frozenset(wanted)
        self._stop = stop
        self._nodes: dict[Key, Pushed | None] = {}
        self._open = 0
        self._waiting: queue.SimpleQueue[Callable[[], tuple[Ended, ...]] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[Ended, ...]] = queue.SimpleQueue()
        self._threads = [parallel.start(self._work, name=f"publish-{n}") for n in range(jobs)]

    def offer_node(self, key: Key, image: str) -> None:
        """Push a node, which the engine has as the image with this id, if it is wanted; each is pushed once."""
        if key in self._wanted and key not in self._nodes:
            self._nodes[key] = None
            self._offer(lambda: (self._publisher.push(key, image),))

    def offer_row(self, row: Row, key: Key, image: str, *, is_optional: bool = False) -> None:
        """Publish a row's image: the one with this id on the engine; of none, the one in the node cache.

        A row for one of several Docker platforms is published once all are offered, or nothing else is. An optional
        one may have no image.
        """
        if not row.shares:
            self._offer(lambda: (self._publisher.publish(row, key, image),))
            return
        shared = row.repositories, row.published_tag
        gathered = self._gathered.setdefault(shared, [])
        gathered.append(OfferedRow(row=row, key=key, image=image, is_optional=is_optional))
        if len(gathered) == len(row.shares):
            self._offer(functools.partial(self._together.publish, self._gathered.pop(shared)))

    def news(self) -> Iterator[Ended]:
        """Yield what ended since this was last asked."""
        while not self._ended.empty():
            self._open -= 1
            for ended in self._ended.get():
                if isinstance(ended, Pushed):
                    self._nodes[ended.key] = ended
                yield ended

    def rest(self) -> Iterator[Ended]:
        """Yield what ends from now on, until everything has, or was interrupted long enough ago."""
        for gathered in self._gathered.values():
            self._offer(functools.partial(self._together.publish, gathered))
        self._gathered.clear()
        while self._open and not self._stop.wait(_POLL_SECONDS):
            yield from self.news()
        self.close()
        yield from self.news()

    def nodes(self) -> tuple[Pushed, ...]:
        """Return the outcome of every offered node, in that order."""
        return tuple(pushed or self._publisher.interrupted(key) for key, pushed in self._nodes.items())

    def close(self) -> None:
        """Start nothing more; once `stop` is set, give what runs a moment to end."""
        for _ in self._threads:
            self._waiting.put(None)
        deadline = time.monotonic() + _GRACE_SECONDS
        for thread in self._threads if self._stop.is_set() else ():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _offer(self, publish: Callable[[], tuple[Ended, ...]]) -> None:
        self._open += 1
        self._waiting.put(publish)

    def _work(self) -> None:
        while (publish := self._waiting.get()) is not None and not self._stop.is_set():
            self._ended.put(publish())


@contextmanager
def beside(
    publisher: Publisher, *, jobs: int, stop: threading.Event, nodes: Collection[Key] = ()
) -> Iterator[Publishing]:
    """Give what publishes `jobs` images at once, of nodes those that are named here.

    What waits when the block ends, or once `stop` is set, is not begun.
    """
    publishing = Publishing(publisher, jobs, nodes, stop)
    try:
        yield publishing
    finally:
        publisher.cancel()
        publishing.close()
