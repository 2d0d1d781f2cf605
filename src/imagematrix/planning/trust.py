"""What binds a key to content. A key says what a node is made from, a digest what it is; a bond says both.

A name, a tag or a label can be given by anyone, so they prove nothing: an image is believed to be a node only where a
bond names its digest. Bonds are written where the content was seen to be the node's: by who built it, by who pushed
it, and by who pulled it after it was vouched for.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from imagematrix.model import EngineImage, Key, node_ref
from imagematrix.text import documents
from imagematrix.text.documents import Digest

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """A node, and content that is proven to be it."""

    key: Key
    digest: Digest
    """On an engine the image's id: the digest of its configuration, with containerd's image store that of its
    manifest. In a registry the digest of its manifest."""
    place: str = ""
    """The repository of nodes, `host[:port]/path`; empty: any engine."""


class Bonds:
    """All bonds that are known, by key and place."""

    def __init__(self, bonds: Iterable[Bond] = ()) -> None:
        self._digests: dict[tuple[str, Key], set[str]] = {}
        for bond in bonds:
            self._digests.setdefault((bond.place, bond.key), set()).add(bond.digest)

    def of(self, key: Key, place: str = "") -> Collection[str]:
        """Return the digests that a node may have in a place; none: nothing is recorded."""
        return self._digests.get((place, key), ())

    def hold(self, key: Key, digest: str, place: str = "") -> bool:
        """Whether content with this digest is proven to be the node."""
        return digest in self.of(key, place)


def line(bond: Bond) -> str:
    """Write a bond as a line of JSON."""
    document = {"key": bond.key, "digest": bond.digest, **({"place": bond.place} if bond.place else {})}
    return json.dumps(document, separators=(",", ":"))


def bond(text: str) -> Bond:
    """Read a line. Raises DamagedError for one that was half-written, or is not a bond."""
    return documents.read(text, Bond)


def named(images: Collection[EngineImage]) -> Mapping[Key, EngineImage]:
    """Return the images that bear the name and the label of a node, which anyone may have given them."""
    return {image.key: image for image in images if node_ref(image.key) in image.names}


def nodes(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, EngineImage]:
    """Return the nodes among images: those that are named so, and whose content is known to be the node's."""
    return {key: image for key, image in named(images).items() if bonds.hold(key, image.id)}


def doubts(images: Collection[EngineImage], bonds: Bonds) -> Mapping[Key, str]:
    """Return why images that bear the name of a node are not believed to be it."""
    return {key: _doubt(key, bonds) for key, image in named(images).items() if not bonds.hold(key, image.id)}


def doubt_of_kept(key: Key, digest: str, bonds: Bonds, place: str) -> str:
    """Return why what a registry has under a key is not believed to be the node, by its digest; empty: it is.

    Where nothing is recorded yet, who may write there is trusted; from then on only what was recorded is.
    """
    known = bonds.of(key, place)
    if not known or digest in known:
        return ""
    return (
        f"{place} has another image under this key ({digest}) than the one recorded here "
        f"({', '.join(sorted(known))}): someone replaced it, or removed and rebuilt it"
    )


def _doubt(key: Key, bonds: Bonds) -> str:
    name = f"the image named imagematrix/node:{key[:_SHORT]}…"
    if bonds.of(key):
        return f"{name} is not the one that was built or pulled here: someone else gave it that name"
    return f"{name} is not known: no record says that it was built or pulled here"
