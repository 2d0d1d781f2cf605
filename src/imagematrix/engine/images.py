"""The engine's images: what they are, their names, pushing and pulling them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from imagematrix.engine.answering import TRANSFER_SECONDS, answering, transferring
from imagematrix.engine.client import EngineClient, open_client
from imagematrix.errors import RegistryError
from imagematrix.model import KEY_LABEL, ROW_LABEL, EngineImage, ImageLayers, Key

if TYPE_CHECKING:
    from docker import APIClient

    _Transfer = Callable[[APIClient], Callable[..., Iterable[Any]]]


class EngineImages(EngineClient):
    """The part of an engine that is about its images."""

    def images(self) -> tuple[EngineImage, ...]:
        """Return all images that carry a key: one request, whatever their number."""
        with answering():
            found = self._client.api.images(filters={"label": [KEY_LABEL]})
        return tuple(
            EngineImage(
                id=image["Id"],
                key=Key(image["Labels"][KEY_LABEL]),
                bytes=image["Size"],
                names=tuple(image["RepoTags"] or ()),
                row=image["Labels"].get(ROW_LABEL, ""),
            )
            for image in found
        )

    def image_id(self, name: str) -> str:
        """Return the id of a local image by a name or its id, empty when there is none."""
        from docker.errors import ImageNotFound

        with answering():
            try:
                return str(self._client.images.get(name).id)
            except ImageNotFound:
                return ""

    def tag(self, source: str, name: str) -> None:
        """Give an image, by a name or its id, one more name."""
        repository, _, tag = name.rpartition(":")
        with answering():
            self._client.api.tag(source, repository, tag)

    def untag(self, name: str) -> None:
        """Remove a name from an image, and the image if that was its last; nothing happens for an unknown name."""
        from docker.errors import ImageNotFound

        with answering():
            try:
                self._client.api.remove_image(name, noprune=True)
            except ImageNotFound:
                return

    def push(self, name: str, *, stopped: Callable[[], bool] = lambda: False) -> str:
        """Push an image to the registry that its name leads to; return the digest it is known by there.

        It is given up when `stopped` becomes true. Raises RegistryError with what the registry said.
        """
        said = self._transfer(name, lambda api: api.push, stopped)
        return next((str(line["aux"]["Digest"]) for line in said if "Digest" in line.get("aux", {})), "")

    def pull(self, name: str) -> None:
        """Pull an image by its tag, or by its digest (`name@sha256:…`). Raises RegistryError with what was said."""
        self._transfer(name, lambda api: api.pull, lambda: False)

    def _transfer(self, name: str, transfer: "_Transfer", stopped: Callable[[], bool]) -> Sequence[Mapping[str, Any]]:
        """Let the engine push or pull; return what it said of the results."""
        repository, at, tag = name.partition("@")
        if not at:
            repository, _, tag = name.rpartition(":")
        lasting: list[Mapping[str, Any]] = []
        # A client of its own: for an answer that takes its time, and logged in as docker is by now.
        client = open_client(self.environment, seconds=TRANSFER_SECONDS)
        with closing(client), transferring(name):
            for line in transfer(client.api)(repository, tag, stream=True, decode=True):
                if "error" in line:
                    raise RegistryError(f"{name}: {line['error']}")
                if "aux" in line:
                    lasting.append(line)
                if stopped():
                    raise RegistryError(f"{name}: interrupted")
        return lasting

    def config(self, name: str) -> Mapping[str, Any]:
        """Return what a local image says of itself: environment, entry point, health check."""
        with answering():
            return dict(self._client.images.get(name).attrs["Config"])

    def created(self, name: str) -> str:
        """Return when a local image was made, in UTC as RFC 3339 writes it."""
        with answering():
            return str(self._client.images.get(name).attrs["Created"])

    def diff_ids(self, name: str) -> tuple[str, ...]:
        """Return the ids of a local image's filesystem layers, lowest first."""
        with answering():
            return tuple(self._client.images.get(name).attrs["RootFS"]["Layers"] or ())

    def saved(self, name: str) -> Iterator[bytes]:
        """Yield what `docker save` writes of a local image, as it comes."""
        # A client of its own: before it says a byte, the engine writes all of an image to its disk.
        with closing(open_client(self.environment, seconds=TRANSFER_SECONDS)) as client, answering():
            yield from client.api.get_image(name)

    def layers(self) -> Mapping[str, ImageLayers]:
        """Return the filesystem layers of all images, by the image's id."""
        from docker.errors import ImageNotFound

        found: dict[str, ImageLayers] = {}
        with answering():
            for image in self._client.api.images():
                with suppress(ImageNotFound):  # others remove images too
                    said: Any = self._client.images.get(image["Id"]).attrs
                    found[image["Id"]] = ImageLayers(ids=tuple(said["RootFS"].get("Layers") or ()), bytes=image["Size"])
        return found
