"""What becomes of the pushes of machines, as the recorder of builds asks for it."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from imagematrix.cluster.images import ClusterImages
from imagematrix.model import Key, Pushed, Row

_POLL_SECONDS: Final = 0.1


class ClusterPushes:
    """The pushes of a run."""

    def __init__(self, images: ClusterImages, is_there: Callable[[str], bool]) -> None:
        self._images = images
        self._is_there = is_there

    def offer_node(self, key: Key, image: str) -> None:
        """Do nothing: the machine that made an image pushes it."""

    def offer_row(self, row: Row, key: Key, image: str) -> None:
        """Do nothing: images of rows are published after the run."""

    def news(self) -> tuple[Pushed, ...]:
        """Return what ended since this was last asked."""
        return self._images.news()

    def rest(self) -> Iterator[Pushed]:
        """Yield what ends from now on, until no push is under way any more."""
        while any(map(self._is_there, self._images.unpushed().values())):
            yield from self.news()
            time.sleep(_POLL_SECONDS)
        yield from self.news()

    def nodes(self) -> tuple[Pushed, ...]:
        """Return how the pushes ended."""
        return self._images.pushes()

    def image(self, key: Key) -> str:
        """Return the id of the image that a machine made of a node."""
        return self._images.image(key)
