"""The engine's images: what they are, their names, pushing and pulling them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagematrix.engine.answering import TRANSFER_SECONDS, answering, transferring
from imagematrix.engine.client import EngineClient, open_client
from imagematrix.errors import RegistryError
from imagematrix.model import Key
from imagematrix.planning import garbage, trust
from imagematrix.planning.trust import Bonds

if TYPE_CHECKING:
    from docker import APIClient

    _Transfer = Callable[[APIClient], Callable[..., Iterable[Any]]]


KEY_LABEL: Final = "imagematrix.key"
ROW_LABEL: Final = "imagematrix.row"
_NODES: Final = "imagematrix/node"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """An image we built: its id (`sha256:…`), its size in bytes as the engine counts it, and all its names."""

    id: str
    key: Key
    bytes: int
    names: tuple[str, ...]
    row: str = ""
    """The row whose leaf it is, or is built on; empty for a node that is no leaf's last."""


def node_ref(key: Key) -> str:
    """Return the name under which the engine keeps a node; named contexts accept no image ids, so each has one."""
    return f"{_NODES}:{key}"


def named(images: Collection[EngineImage]) -> Mapping[Key, EngineImage]:
    """Return the images that bear the name and the label of a node, which anyone may have given them."""
    return {image.key: image for image in images if node_ref(image.key) in image.names}


def nodes(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, EngineImage]:
    """Return the nodes among images: those that are named so, and whose content is known to be the node's."""
    return {key: image for key, image in named(images).items() if bonds.hold(key, image.id)}


def doubts(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, str]:
    """Return why images that bear the name of a node are not believed to be it."""
    return trust.doubts({key: image.id for key, image in named(images).items()}, bonds)


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
        """Take a name from an image, and remove it if that was its last; nothing happens when there is none."""
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

    def layers(self) -> Mapping[str, garbage.Layers]:
        """Return the filesystem layers of all images, by the image's id."""
        from docker.errors import ImageNotFound

        found: dict[str, garbage.Layers] = {}
        with answering():
            for image in self._client.api.images():
                with suppress(ImageNotFound):  # others remove images too
                    said: Any = self._client.images.get(image["Id"]).attrs
                    found[image["Id"]] = garbage.Layers(
                        ids=tuple(said["RootFS"].get("Layers") or ()), bytes=image["Size"]
                    )
        return found
