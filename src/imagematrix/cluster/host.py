"""What a machine does a run's jobs with: its engine, its site, its logins."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from imagematrix.cluster.machine import HeldNode
from imagematrix.cluster.voice import Voice
from imagematrix.engine import Engine, builder, comparing, connect
from imagematrix.engine.builder import Builder
from imagematrix.model import Attempt, BuildJob, Key, Pushed, Site, node_ref
from imagematrix.planning.reproducible import Difference
from imagematrix.planning.trust import Bonds
from imagematrix.registry import Client
from imagematrix.registry.publisher import Publisher
from imagematrix.registry.vouching import Voucher
from imagematrix.shell import Shell


class Checker(Protocol):
    """Checks images with an engine, as `verify.remote` does."""

    def check(self, kit: bytes, task: bytes, image: str) -> bytes: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHost:
    """The host of one run."""

    engine: Engine
    builder: Builder
    client: Client
    checker: Checker
    stopped: threading.Event

    def image(self, ids: tuple[str, ...]) -> str:
        """Return the id under which the engine has an image; empty: it has none of these."""
        return next((found for name in ids if (found := self.engine.image_id(name))), "")

    def held(self, repository: str, key: Key) -> HeldNode | None:
        """Return a node as the registry has it. Raises RegistryError."""
        if not self.client.digest(repository, key):
            return None
        manifest = self.client.manifest(repository, key)
        return HeldNode(ids=(manifest.config, manifest.digest), digest=manifest.digest)

    def do(self, job: BuildJob) -> Attempt:
        """Build or pull."""
        return self.builder.build(job)

    def push(self, repository: str, key: Key, image: str, *, replaces: str) -> Pushed:
        """Push an image as a node, with retries."""
        publisher = Publisher(
            engine=self.engine,
            client=self.client,
            voucher=Voucher(repository=repository, bonds=Bonds(), client=self.client),
            doubts={},
            unverified=lambda _row, _ids: "",  # machines publish no rows
            stop=self.stopped,
        )
        return publisher.push(key, image, replaces=replaces)

    def difference(self, old: str, new: str) -> Difference | None:
        """Compare two images of a node."""
        return comparing.change(self.engine, old, new, stopped=self.stopped.is_set)

    def remove(self, key: Key) -> None:
        """Remove the image of a node."""
        self.engine.untag(node_ref(key))

    def size(self, image: str) -> int:
        """Return the size of an image."""
        return next((each.bytes for each in self.engine.images() if each.id == image), 0)

    def check(self, kit: bytes, task: bytes, image: str) -> bytes:
        """Check an image, by its id."""
        return self.checker.check(kit, task, image)

    def cancel(self) -> None:
        """Make everything that runs return soon."""
        self.stopped.set()
        self.checker.cancel()
        self.client.cancel()
        self.builder.cancel()


@contextmanager
def opened(
    voice: Voice, where: Site, *, compression: str, checker: Callable[[Engine], Checker]
) -> Iterator[EngineHost]:
    """Give the host of one run at this machine's site, whose images are compressed so. Raises NoEngineError."""
    engine, shell = connect(), Shell()

    @contextmanager
    def log(_name: str) -> Iterator[NoLog]:
        yield NoLog()

    with builder.ready(
        engine=engine,
        shell=shell,
        where=where,
        compression=compression,
        logs=log,
        said=voice.say,
        waiting=voice.waits,
    ) as made:
        yield EngineHost(
            engine=engine, builder=made, client=Client(where), checker=checker(engine), stopped=threading.Event()
        )


class NoLog:
    """The log of a build here: the coordinator writes it."""

    path = ""

    def write(self, text: str, /) -> None:
        """Drop it: it is sent line by line."""
