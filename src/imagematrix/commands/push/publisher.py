"""Publishes the images of rows: a tag that stays, then those that move."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from imagematrix.errors import MissingError, NoEngineError, RegistryError, SilentRegistryError
from imagematrix.execution import parallel
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.execution.parallel import Future, ThreadPoolExecutor
from imagematrix.model import KEY_LABEL, Key, Retry, Row
from imagematrix.planning import publication, transient
from imagematrix.planning.publication import Held, Publication, Published, PublishOutcome, Target
from imagematrix.registry import Client, Manifest, host
from imagematrix.registry.pushing import PushingEngine, push_as
from imagematrix.registry.vouching import Voucher

TRIES: Final = 3
LONGEST_WAIT: Final = 60.0
"""The longest wait, in seconds, that a registry can ask for."""
PAUSE_SECONDS: Final = 60.0
"""For how long a silent registry is not asked again."""
_POLL_SECONDS: Final = 0.5
_T = TypeVar("_T")


class PublishingEngine(PushingEngine, Protocol):
    """An engine that has images. They are named by their ids."""

    def config(self, name: str) -> Mapping[str, Any]: ...

    def created(self, name: str) -> str: ...

    def pull(self, name: str) -> None: ...


Unverified = Callable[[Row, Collection[str]], str]
"""Says of a row's image, by the digests it may be known by, why it is not verified; nothing: all its checks passed."""


class Publishing:
    """Publishes images while others are still being made, some at once; see `beside`."""

    def __init__(self, publisher: "Publisher", pool: ThreadPoolExecutor, stop: threading.Event) -> None:
        self._publisher = publisher
        self._pool = pool
        self._stop = stop
        self._waiting: list[Future[Publication]] = []

    def offer(self, row: Row, key: Key, image: str) -> None:
        """Publish a row's image: the one with this id on the engine; of none, the one in the node cache."""
        self._waiting.append(self._pool.submit(self._publisher.publish, row, key, image))

    def rest(self) -> Iterator[Publication]:
        """Yield what became of each image, as it becomes known; what is not begun when it is stopped is left out."""
        while self._waiting and not self._stop.is_set():
            finished, self._waiting = parallel.ended(self._waiting, seconds=_POLL_SECONDS)
            yield from (future.result() for future in finished)


@contextmanager
def beside(publisher: "Publisher", *, jobs: int, stop: threading.Event) -> Iterator[Publishing]:
    """Give what publishes `jobs` images at once; what waits at the end, or when it is stopped, is not begun."""
    with parallel.pool(jobs, name="publish") as pool:
        try:
            yield Publishing(publisher, pool, stop)
        finally:
            publisher.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """What is published: on the engine, or only in the node cache (`remote`)."""

    key: Key
    ids: tuple[str, ...]
    """The digests that it may be known by: on the engine its id; in a registry its manifest's and its configuration's.
    """
    created: str
    versions: Mapping[str, str] | None
    remote: Manifest | None = None
    doubt: str = ""
    """Why it is not believed to be the node."""


class Publisher:
    """Publishes images, from any thread. Errors of registries and the engine are not raised but kept for each tag."""

    def __init__(
        self,
        *,
        engine: PublishingEngine,
        client: Client,
        voucher: Voucher | None,
        doubts: Mapping[Key, str],
        unverified: Unverified,
        stop: threading.Event,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._engine = engine
        self._client = client
        self._voucher = voucher
        self._doubts = doubts
        self._unverified = unverified
        self._stop = stop
        self._sleep = sleep
        self._silent: dict[str, tuple[float, str]] = {}
        """Registry -> when it was found silent, and what was said."""

    def publish(self, row: Row, key: Key, image_id: str) -> Publication:
        """Publish a row's image under all of its tags, as far as they may stand for it.

        It is the one with this id on the engine; where there is none, the one in the node cache.
        """
        targets = publication.moving(row)
        if not image_id and key in self._doubts:
            return Publication(row=row, tags=publication.doubted(targets, self._doubts[key]))
        try:
            image = self._image(key, image_id) if image_id else self._kept(key)
        except (RegistryError, NoEngineError) as error:
            return Publication(row=row, tags=tuple(_failed(target, error) for target in targets))
        if image is None:
            return Publication(row=row, tags=(), built=False)
        if image.doubt:
            return Publication(row=row, tags=publication.doubted(targets, image.doubt))
        fixed = publication.immutable(row, key, created=image.created)
        pushed = tuple(self._tried(self._immutable, target, image) for target in fixed)
        if not all(tag.good for tag in pushed):
            return Publication(row=row, tags=(*pushed, *publication.held_back(targets, pushed)))
        sources = {tag.target.repository: tag for tag in pushed}
        why = self._unverified(row, image.ids)
        moved = tuple(
            self._tried(self._moving, target, image, sources[target.repository], why, row.family.promises)
            for target in targets
        )
        return Publication(row=row, tags=(*pushed, *moved))

    def cancel(self) -> None:
        """Wait for no registry any more."""
        self._client.cancel()

    def _image(self, key: Key, image_id: str) -> _Image:
        """Return the image that the engine has of a node."""
        labels = self._engine.config(image_id).get("Labels") or {}
        created = self._engine.created(image_id)
        return _Image(key=key, ids=(image_id,), created=created, versions=publication.labelled(labels))

    def _kept(self, key: Key) -> _Image | None:
        """Return the image that the node cache has of one."""
        return self._ask(self._voucher.repository, self._remote, key, self._voucher) if self._voucher else None

    def _remote(self, key: Key, voucher: Voucher) -> _Image | None:
        manifest = self._manifest(Target(repository=voucher.repository, tag=key))
        if manifest is None:
            return None
        said = self._client.config(manifest)
        is_labelled = said.labels.get(KEY_LABEL) == key
        doubt = voucher.doubt(key, manifest.digest) if is_labelled else f"{voucher.repository}:{key} is another node"
        return _Image(
            key=key,
            ids=(manifest.digest, manifest.config),
            created=said.created,
            versions=publication.labelled(said.labels),
            remote=manifest,
            doubt=doubt,
        )

    def _tried(self, publish: Callable[..., Published], target: Target, *more: object) -> Published:
        retries: list[Retry] = []
        try:
            done = self._ask(target.repository, publish, target, *more, tell=retries.append)
        except (RegistryError, NoEngineError) as error:
            done = _failed(target, error)
        return replace(done, retries=tuple(retries))

    def _ask(
        self,
        repository: str,
        ask: Callable[..., _T],
        *words: object,
        tell: Callable[[Retry], None] = lambda _retry: None,
    ) -> _T:
        """Do something with a registry, again if it fails in passing, but not while it is known to be silent."""
        silent, why = self._silent.get(host(repository), (0.0, ""))
        if why and time.monotonic() - silent < PAUSE_SECONDS:
            raise SilentRegistryError(why)
        try:
            return self._backoff().call(lambda: ask(*words), lambda error: _passing(error, repository), tell)
        except RegistryError as error:
            if _passing(error, repository):
                self._silent[host(repository)] = time.monotonic(), str(error)
            raise

    def _immutable(self, target: Target, image: _Image) -> Published:
        decided = publication.decide_immutable(target, self._holds(target), image.ids)
        if decided.outcome is not PublishOutcome.PUSHED:
            return decided
        self._send(image, target)
        return publication.arrived(target, self._holds(target), image.ids)

    def _holds(self, target: Target) -> Held | None:
        """Return what a tag stands for; its content was compared with its digest."""
        found = self._manifest(target)
        return Held(digest=found.digest, config=found.config) if found else None

    def _moving(
        self, target: Target, image: _Image, source: Published, unverified: str, promises: Collection[str] | None
    ) -> Published:
        found = self._manifest(target)
        new = Held(digest=source.digest, config=image.ids[-1], versions=image.versions)
        decided = publication.decide_moving(
            target,
            self._held(found, unless=new.digest) if found else None,
            new,
            verified=not unverified,
            why=unverified,
            promises=promises,
        )
        if decided.outcome is PublishOutcome.MOVED:
            self._client.tag(self._client.manifest(target.repository, source.digest), target.tag)
        return decided

    def _manifest(self, target: Target) -> Manifest | None:
        try:
            return self._client.manifest(target.repository, target.tag)
        except MissingError:
            return None

    def _held(self, manifest: Manifest, *, unless: str) -> Held:
        """Return what a tag stands for; its versions are fetched only where they are needed."""
        versions = None
        if manifest.config and manifest.digest != unless:  # a list of images says nothing itself
            versions = publication.labelled(self._client.config(manifest).labels)
        return Held(digest=manifest.digest, config=manifest.config, versions=versions)

    def _send(self, image: _Image, target: Target) -> None:
        """Bring an image into a repository: within its registry, else through the engine."""
        if image.remote and self._takes_over(image.remote, target):
            return
        if image.remote is None:
            push_as(self._engine, image.ids[0], target.name, stop=self._stop)
            return
        source = f"{image.remote.repository}@{image.remote.digest}"
        self._engine.pull(source)
        try:
            push_as(self._engine, source, target.name, stop=self._stop)
        finally:
            self._engine.untag(source)

    def _takes_over(self, manifest: Manifest, target: Target) -> bool:
        """Whether a registry takes an image over from another of its repositories: not every one does."""
        if host(manifest.repository) != host(target.repository):
            return False
        try:
            self._client.tag(manifest, target.tag, repository=target.repository)
        except SilentRegistryError:
            raise
        except RegistryError:
            return False
        return True

    def _backoff(self) -> Backoff:
        return Backoff(tries=TRIES, longest=LONGEST_WAIT, stop=self._stop, sleep=self._sleep)


def _failed(target: Target, error: Exception) -> Published:
    return Published(target=target, outcome=PublishOutcome.FAILED, why=str(error))


def _passing(error: Exception, repository: str) -> Passing | None:
    flake = transient.of_registry(error, repository) if isinstance(error, RegistryError) else None
    return Passing(why=str(error), flake=flake) if flake else None
