"""The node cache, as `verify` needs it: images that are not on the engine, and what is settled of their checks."""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from imagematrix.commands.terminal import note
from imagematrix.engine import Engine, builder
from imagematrix.errors import RegistryError
from imagematrix.execution import parallel
from imagematrix.model import Key, NodePull
from imagematrix.planning.checks import Settled
from imagematrix.planning.trust import Bond
from imagematrix.project import Project
from imagematrix.registry import Manifest
from imagematrix.registry.client import JOBS
from imagematrix.registry.settlements import Settlements, quiet
from imagematrix.registry.store import Store
from imagematrix.signing import Signer


@dataclass(slots=True)
class KeptImages:
    """What the node cache has of final nodes. `pull` and `keep` may be called from any thread."""

    store: Store
    settlements: Settlements
    manifests: Mapping[Key, Manifest] = field(default_factory=dict)
    settled: tuple[Settled, ...] = ()
    refused: threading.Event = field(default_factory=threading.Event)
    """Set once what is settled could not be kept: it is not tried again."""

    @classmethod
    def opened(cls, project: Project, store: Store, signer: Signer | None) -> Self:
        """Return that of a project; of a project whose nodes are signed nothing is kept without a signer."""
        made = cls(store, Settlements(replace(store.voucher, signer=signer)))
        if project.matrix.signing and signer is None:
            made.refused.set()
        return made

    def look(self, keys: Collection[Key]) -> None:
        """Ask which of some nodes are there, and what is settled of them."""
        self.manifests = self.store.manifests(self.store.digests(keys))
        with parallel.pool(JOBS, name="settled") as pool:
            found = pool.map(lambda each: quiet(self.settlements, *each), self.manifests.items())
            self.settled = tuple(one for each in found for one in each)

    def has(self, key: Key) -> bool:
        """Whether a node is there."""
        return key in self.manifests

    def both(self, key: Key) -> tuple[str, str]:
        """Return the digests that engines may know an image by."""
        return self.manifests[key].config, self.manifests[key].digest

    def ids(self, *, has_blobs: bool) -> Mapping[Key, str]:
        """Return what an engine calls these images when it has pulled them: `has_blobs` says how it keeps images."""
        return {key: one.digest if has_blobs else one.config for key, one in self.manifests.items()}

    def bytes(self, key: Key) -> int:
        """Return the size of an image, compressed."""
        return self.manifests[key].bytes

    def pull(self, engine: Engine, key: Key) -> tuple[Bond, ...]:
        """Pull an image; return what is known of it now. Raises RegistryError and NoEngineError."""
        digest, place = self.manifests[key].digest, self.store.repository
        image = builder.pulled(engine, key, NodePull(repository=place, digest=digest))
        return Bond(key=key, digest=image), Bond(key=key, digest=digest, place=place)

    def keep(self, key: Key, image: str, settled: Iterable[Settled]) -> None:
        """Keep what is settled of an image, if it is the one that the node cache has."""
        found, news = self.manifests.get(key), tuple(settled)
        if not found or not news or image not in (found.digest, found.config) or self.refused.is_set():
            return
        try:
            self.settlements.add(key, found.digest, news)
        except RegistryError as error:
            if not self.refused.is_set():
                note(f"what was checked is not kept in {self.store.repository}: {error}")
            self.refused.set()
