"""Draws what is built on a node to the machines that have its image: Dask places a task where its weights are."""

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from imagematrix.cluster.link import Link, LostMachineError
from imagematrix.cluster.messages import HeldImages, ImagesQuestion, RemoteParent, RemoteResult, Weight
from imagematrix.errors import NoClusterError
from imagematrix.model import Key

if TYPE_CHECKING:
    from distributed import Future

_ADD_SECONDS: Final = 1.0
_BEGIN_SECONDS: Final = 10.0
"""How long a scheduler may take to note weights: when a build ends, and when a run begins."""
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
                self._add({key: result.size}, [result.machine], seconds=_ADD_SECONDS)

    def ask(self, images: Collection[RemoteParent], version: str) -> None:
        """Ask the machines of a version which of some images they have from earlier runs."""
        question = ImagesQuestion(images=tuple(images))
        try:
            answers = self._link.ask(question, version) if images else {}
        except NoClusterError:  # who builds hears of it
            return
        held = {name: answer.keys for name, answer in answers.items() if isinstance(answer, HeldImages)}
        together: dict[tuple[str, ...], dict[Key, int]] = {}
        for image in images:
            machines = tuple(sorted(name for name, keys in held.items() if image.key in keys))
            together.setdefault(machines, {})[image.key] = image.bytes
        for machines, sizes in together.items():
            if machines:
                self._add(sizes, machines, seconds=_BEGIN_SECONDS)

    def _add(self, sizes: Mapping[Key, int], machines: Collection[str], *, seconds: float) -> None:
        """Add weights of images, by their sizes in bytes, that each of some machines has."""
        try:
            weights = self._link.weigh([*map(Weight, sizes.values())], machines, seconds=seconds)
        except LostMachineError:
            return
        with self._lock:
            self._known.update(zip(sizes, weights, strict=True))
