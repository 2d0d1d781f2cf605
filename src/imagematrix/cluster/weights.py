"""Draws what is built on a node to the machines that have its image: Dask places a task where its weights are."""

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from imagematrix.cluster.link import Link, LostMachineError
from imagematrix.cluster.messages import RemoteResult, Weight
from imagematrix.model import Key

if TYPE_CHECKING:
    from distributed import Future

_THERE: Final = "finished"
"""How Dask calls a weight that no machine has lost. A task that depends on a lost one cannot run."""


class Weights:
    """The weights of a run's images. Its methods may be called from any thread."""

    def __init__(self, link: Link, shared: Collection[Key]) -> None:
        """Take the nodes that have weights: what only one node is built on needs none, as that goes there anyway."""
        self._link = link
        self._shared = shared
        self._known: dict[Key, Future[Weight]] = {}
        self._lock = threading.Lock()

    def of(self, keys: Collection[Key]) -> tuple["Future[Weight]", ...]:
        """Return the weights of images, of those that have any."""
        with self._lock:
            known = [self._known[key] for key in keys if key in self._known]
        return tuple(weight for weight in known if weight.status == _THERE)

    def add(self, keys: Collection[Key], result: RemoteResult) -> None:
        """Note that a machine has images by now."""
        for key in {*keys}.intersection(self._shared):
            if not self.of([key]):
                self._add(key, result)

    def _add(self, key: Key, result: RemoteResult) -> None:
        try:
            weight = self._link.weigh(Weight(result.size), result.machine)
        except LostMachineError:
            return
        with self._lock:
            self._known[key] = weight
