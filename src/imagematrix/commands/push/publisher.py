"""Publishes the images of rows: a tag that stays, then those that move."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

import tenacity

from imagematrix.errors import MissingError, NoEngineError, RegistryError, SilentRegistryError
from imagematrix.execution import backoff
from imagematrix.model import KEY_LABEL, Flake, Key, Retry, Row
from imagematrix.planning import publication, transient
from imagematrix.planning.publication import Held, Publication, Published, PublishOutcome, Target
from imagematrix.registry import Client, Manifest, host
from imagematrix.registry.vouching import Voucher

TRIES: Final = 3
LONGEST_WAIT: Final = 60.0
"""The longest wait, in seconds, that a registry can ask for."""
PAUSE_SECONDS: Final = 60.0
"""For how long a silent registry is not asked again."""
_POLL_SECONDS: Final = 0.5
_T = TypeVar("_T")


class PublishingEngine(Protocol):
    """Who has images, and pushes. Images are named by their ids."""

    def config(self, name: str) -> Mapping[str, Any]: ...

    def created(self, name: str) -> str: ...

    def tag(self, source: str, name: str) -> None: ...

    def untag(self, name: str) -> None: ...

    def push(self, name: str, *, stopped: Callable[[], bool]) -> str: ...

    def pull(self, name: str) -> None: ...


Unverified = Callable[[Row, Collection[str]], str]
"""Says of a row's image, by the digests it may be known by, why it is not verified; nothing: all its checks passed."""


class Publishing:
    """Publishes images while others are still being made, some at once; see `beside`."""

    def __init__(self, publisher: "Publisher", pool: ThreadPoolExecutor, stop: threading.Event) -> None:
        self._publisher = publisher
        self._pool = pool
        self._stop = stop
        self._waiting: set[Future[Publication]] = set()

    def offer(self, row: Row, key: Key, image: str) -> None:
        """Publish a row's image: the one with this id on the engine; of none, the one in the node cache."""
        self._waiting.add(self._pool.submit(self._publisher.publish, row, key, image))

    def rest(self) -> Iterator[Publication]:
        """Yield what became of each image, as it becomes known; what is not begun when it is stopped is left out."""
        while self._waiting and not self._stop.is_set():
            finished, self._waiting = wait(self._waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)


@contextmanager
def beside(publisher: "Publisher", *, jobs: int, stop: threading.Event) -> Iterator[Publishing]:
    """Give what publishes `jobs` images at once; what waits at the end, or when it is stopped, is not begun."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="publish") as pool:
        try:
            yield Publishing(publisher, pool, stop)
        finally:
            publisher.cancel()
            pool.shutdown(wait=False, cancel_futures=True)


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
    ) -> None:
        self._engine = engine
        self._client = client
        self._voucher = voucher
        self._doubts = doubts
        self._unverified = unverified
        self._stop = stop
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
            return self._retrying(repository, tell)(ask, *words)
        except RegistryError as error:
            if _flake(error, repository):
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
        source = image.ids[0]
        if image.remote:
            source = f"{image.remote.repository}@{image.remote.digest}"
            self._engine.pull(source)
        self._engine.tag(source, target.name)
        try:
            self._engine.push(target.name, stopped=self._stop.is_set)
        finally:  # its names in registries are of no use here
            self._engine.untag(target.name)
            if image.remote:
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

    def _retrying(self, repository: str, tell: Callable[[Retry], None]) -> tenacity.Retrying:
        def note(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if error and (found := _flake(error, repository)):
                tell(backoff.noted(state, why=str(error), flake=found))

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _flake(error, repository) is not None),
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_when_event_set(self._stop),
            wait=backoff.wait(_asked, longest=LONGEST_WAIT),
            sleep=self._nap,
            before_sleep=note,
            reraise=True,
        )

    def _nap(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _asked(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, SilentRegistryError) else 0.0


def _failed(target: Target, error: Exception) -> Published:
    return Published(target=target, outcome=PublishOutcome.FAILED, why=str(error))


def _flake(error: BaseException, repository: str) -> Flake | None:
    return transient.of_registry(error, repository) if isinstance(error, RegistryError) else None
