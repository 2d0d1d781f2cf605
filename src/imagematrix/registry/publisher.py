"""Publishes images: nodes to the node cache, and rows' images under a tag that stays and those that move."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final, Protocol, TypeVar

from imagematrix.errors import DoubtError, MissingError, NoEngineError, RegistryError, UserError
from imagematrix.execution.backoff import Backoff, Passing
from imagematrix.model import KEY_LABEL, Key, Pushed, PushStatus, Retry, Row
from imagematrix.planning import publication, transient
from imagematrix.planning.publication import Held, Publication, Published, PublishOutcome, Target
from imagematrix.registry.answers import Manifest
from imagematrix.registry.client import Client
from imagematrix.registry.store import node_name
from imagematrix.registry.vouching import Voucher
from imagematrix.text.names import host

RETRIES: Final = 2
LONGEST_WAIT: Final = 120.0
"""How long, in seconds, a registry is left alone at most before the next try."""
_T = TypeVar("_T")


class PublishingEngine(Protocol):
    """An engine that has images. They are named by their ids, and pushed under names of their own."""

    def tag(self, source: str, name: str) -> None: ...

    def untag(self, name: str) -> None: ...

    def push(self, name: str, *, stopped: Callable[[], bool]) -> str: ...

    def config(self, name: str) -> Mapping[str, Any]: ...

    def created(self, name: str) -> str: ...


Unverified = Callable[[Row, Collection[str]], str]
"""Says of a row's image, by the digests it may be known by, why it is not verified; nothing: all its checks passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
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
    """Publishes images, from any thread. Errors of registries and the engine are not raised but part of the outcome.

    Without an engine it publishes what the node cache has.

    What fails in passing is tried again; while a registry does not answer, everything there is tried once.
    """

    def __init__(
        self,
        *,
        engine: PublishingEngine | None,
        client: Client,
        voucher: Voucher | None,
        doubts: Mapping[Key, str],
        unverified: Unverified,
        stop: Event,
        retries: int = RETRIES,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._engine = engine
        self.client = client
        self._voucher = voucher
        self._doubts = doubts
        self._unverified = unverified
        self._stop = stop
        self._retries = retries
        self._sleep = sleep or stop.wait
        self._silent: set[str] = set()
        """Registries that did not answer, however often they were asked, and have not answered since."""

    def push(self, key: Key, image: str, *, replaces: str = "") -> Pushed:
        """Push a node, which the engine has as the image with this id, to the node cache, unless it is there.

        What is there with the digest `replaces` does not count.
        """
        assert self._voucher  # noqa: S101  (nodes are pushed where there is a node cache)
        begun, retries, digest, why = time.monotonic(), list[Retry](), "", ""
        try:
            digest = self.ask(
                self._voucher.repository, self._node, key, image, self._voucher, replaces, tell=retries.append
            )
        except Exception as error:  # noqa: BLE001  (a failure is that of this push, and never lost)
            why = _said(error)
        if why and self._stop.is_set():
            return self.interrupted(key)
        return Pushed(
            key=key,
            name=node_name(self._voucher.repository, key),
            status=PushStatus.FAILED if why else PushStatus.PUSHED,
            seconds=time.monotonic() - begun,
            attempts=len(retries) + 1,
            retries=tuple(retries),
            digest=digest,
            why=why,
        )

    def interrupted(self, key: Key) -> Pushed:
        """Return what is known of a node whose push was interrupted, or never began."""
        name = node_name(self._voucher.repository if self._voucher else "", key)
        return Pushed(key=key, name=name, status=PushStatus.INTERRUPTED, why="interrupted")

    def publish(self, row: Row, key: Key, image_id: str) -> Publication:
        """Publish a row's image under all of its tags, as far as they may stand for it.

        It is the one with this id on the engine; where there is none, the one in the node cache.
        """
        try:
            return self._publish(row, key, image_id)
        except Exception as error:  # noqa: BLE001  (a failure is that of this image, and never lost)
            return Publication(row=row, tags=tuple(failed(target, error) for target in publication.moving(row)))

    def cancel(self) -> None:
        """Wait for no registry any more."""
        self.client.cancel()

    def found(self, row: Row, key: Key, image_id: str) -> PublishedImage | Publication:
        """Return a row's image; where none can be published, what that means for its tags. Raises RegistryError."""
        targets = publication.moving(row)
        if not image_id and key in self._doubts:
            return Publication(row=row, tags=publication.doubted(targets, self._doubts[key]))
        image = self._image(key, image_id) if image_id else self._kept(key)
        if image is None:
            return Publication(row=row, tags=(), built=False)
        if image.doubt:
            return Publication(row=row, tags=publication.doubted(targets, image.doubt))
        return image

    def immutable(self, row: Row, image: PublishedImage) -> tuple[Published, ...]:
        """Publish an image under its immutable tag in each registry of its row."""
        targets = publication.immutable(row, image.key, created=image.created)
        return tuple(self.tried(self._immutable, target, image) for target in targets)

    def unverified(self, row: Row, image: PublishedImage) -> str:
        """Return why a row's image is not verified; empty: it is."""
        return self._unverified(row, image.ids)

    def _publish(self, row: Row, key: Key, image_id: str) -> Publication:
        targets, image = publication.moving(row), self.found(row, key, image_id)
        if isinstance(image, Publication):
            return image
        if same := self._unchanged(targets, publication.immutable(row, key, created=image.created), image):
            return Publication(row=row, tags=same, since=image.created[:10])
        pushed = self.immutable(row, image)
        if not all(tag.good for tag in pushed):
            return Publication(row=row, tags=(*pushed, *publication.held_back(targets, pushed)))
        sources = {tag.target.repository: tag for tag in pushed}
        why = self.unverified(row, image)
        moved = tuple(
            self.tried(self._moving, target, image, sources[target.repository], row, why) for target in targets
        )
        return Publication(row=row, tags=(*pushed, *moved))

    def _image(self, key: Key, image_id: str) -> PublishedImage:
        """Return the image that the engine has of a node."""
        assert self._engine  # noqa: S101  (as above)
        labels = self._engine.config(image_id).get("Labels") or {}
        created = self._engine.created(image_id)
        return PublishedImage(key=key, ids=(image_id,), created=created, versions=publication.labelled(labels))

    def _kept(self, key: Key) -> PublishedImage | None:
        """Return the image that the node cache has of one."""
        return self.ask(self._voucher.repository, self._remote, key, self._voucher) if self._voucher else None

    def _unchanged(
        self, moving: Collection[Target], fixed: Collection[Target], image: PublishedImage
    ) -> tuple[Published, ...]:
        """Return the row's tags if the moving ones stand for its image, with immutable ones as far as they exist.

        An image that was kept because a new build has the same content has none for its new key, and needs none.
        """
        try:
            held = [(target, self.ask(target.repository, self._holds, target)) for target in (*moving, *fixed)]
        except (RegistryError, NoEngineError):
            return ()  # what is pushed then fails for the same reason, which is reported
        standing = publication.standing(held[: len(moving)], image.ids)
        known = (publication.decide_immutable(target, now, image.ids) for target, now in held[len(moving) :] if now)
        return (*known, *standing) if standing else ()

    def _remote(self, key: Key, voucher: Voucher) -> PublishedImage | None:
        manifest = self.manifest(Target(repository=voucher.repository, tag=key))
        if manifest is None:
            return None
        said = self.client.config(manifest)
        is_labelled = said.labels.get(KEY_LABEL) == key
        doubt = voucher.doubt(key, manifest.digest) if is_labelled else f"{voucher.repository}:{key} is another node"
        return PublishedImage(
            key=key,
            ids=(manifest.digest, manifest.config),
            created=said.created,
            versions=publication.labelled(said.labels),
            remote=manifest,
            doubt=doubt,
        )

    def tried(self, publish: Callable[..., Published], target: Target, *more: object) -> Published:
        """Publish something under a tag, again if it fails in passing; what fails for good is the outcome."""
        retries: list[Retry] = []
        try:
            done = self.ask(target.repository, publish, target, *more, tell=retries.append)
        except (RegistryError, NoEngineError) as error:
            done = failed(target, error)
        return replace(done, retries=tuple(retries))

    def ask(
        self,
        repository: str,
        ask: Callable[..., _T],
        *words: object,
        tell: Callable[[Retry], None] = lambda _retry: None,
    ) -> _T:
        """Do something with a registry, again if it fails in passing. Raises what the last try does."""
        tries = 1 if host(repository) in self._silent else self._retries + 1
        trying = Backoff(tries=tries, longest=LONGEST_WAIT, stop=self._stop, sleep=self._sleep)
        try:
            done = trying.call(lambda: ask(*words), lambda error: _passing(error, repository), tell)
        except RegistryError as error:
            if _passing(error, repository):
                self._silent.add(host(repository))
            raise
        self._silent.discard(host(repository))
        return done

    def _node(self, key: Key, image: str, voucher: Voucher, replaces: str) -> str:
        """Push a node once, unless it exists there; return its digest there. Raises RegistryError and NoEngineError."""
        target = Target(repository=voucher.repository, tag=key)
        held = self.client.digest(target.repository, key)
        held = "" if held == replaces else held
        doubt = voucher.doubt(key, held) if held else ""
        if held and not doubt:  # another machine was faster, or the last try was
            return held
        if doubt and not voucher.signer:
            raise DoubtError(f"{doubt}. Remove it from the registry, and push again")
        self._push_as(image, target)
        arrived = publication.arrived(target, self._holds(target), (image,))
        if not arrived.good:
            raise DoubtError(arrived.why)
        voucher.sign(key, arrived.digest)
        return arrived.digest

    def _immutable(self, target: Target, image: PublishedImage) -> Published:
        decided = publication.decide_immutable(target, self._holds(target), image.ids)
        if decided.outcome is not PublishOutcome.PUSHED:
            return decided
        self._send(image, target)
        return publication.arrived(target, self._holds(target), image.ids)

    def _holds(self, target: Target) -> Held | None:
        """Return what a tag stands for; its content was compared with its digest."""
        found = self.manifest(target)
        return Held(digest=found.digest, config=found.config) if found else None

    def _moving(self, target: Target, image: PublishedImage, source: Published, row: Row, unverified: str) -> Published:
        found = self.manifest(target)
        new = Held(digest=source.digest, config=image.ids[-1], versions=image.versions)
        decided = publication.decide_moving(
            target,
            self._held(found, row.platform, unless=new.digest) if found else None,
            new,
            verified=not unverified,
            why=unverified,
            promises=row.family.promises,
        )
        if decided.outcome is not PublishOutcome.MOVED:
            return decided
        manifest = self.client.manifest(target.repository, source.digest)
        self.client.tag(manifest, target.tag)
        return replace(decided, update_bytes=publication.new_bytes(found.blobs if found else {}, manifest.blobs))

    def manifest(self, target: Target) -> Manifest | None:
        """Return what a tag stands for; None: nothing. Raises RegistryError."""
        try:
            return self.client.manifest(target.repository, target.tag)
        except MissingError:
            return None

    def _held(self, manifest: Manifest, platform: str, *, unless: str) -> Held:
        """Return what a tag stands for; its versions are fetched only where they are needed."""
        versions = None
        if manifest.digest != unless:
            versions = self.held_images(manifest, platform)[platform].versions
        return Held(digest=manifest.digest, config=manifest.config, versions=versions)

    def held_images(self, manifest: Manifest, default: str) -> Mapping[str, Held]:
        """Return the images that a tag stands for, by Docker platforms; one alone is for the default."""
        listed = {
            platform: self.client.manifest(manifest.repository, digest) for platform, digest in manifest.members.items()
        }
        return {platform: self._said(each) for platform, each in (listed or {default: manifest}).items()}

    def _said(self, manifest: Manifest) -> Held:
        labels = self.client.config(manifest).labels if manifest.config else {}
        return Held(digest=manifest.digest, config=manifest.config, versions=publication.labelled(labels))

    def _send(self, image: PublishedImage, target: Target) -> None:
        """Bring an image into a repository: from the engine, else from the node cache."""
        if image.remote:
            self.client.tag(image.remote, target.tag, repository=target.repository)
        else:
            self._push_as(image.ids[0], target)

    def _push_as(self, image: str, target: Target) -> None:
        """Push an image, by id, under a name in a registry, which the engine does not keep."""
        assert self._engine  # noqa: S101  (who names an image of an engine has one)
        self._engine.tag(image, target.name)
        try:
            self._engine.push(target.name, stopped=self._stop.is_set)
        finally:
            self._engine.untag(target.name)


def failed(target: Target, error: Exception) -> Published:
    """Return what becomes of a tag where something failed."""
    return Published(target=target, outcome=PublishOutcome.FAILED, why=_said(error))


def _said(error: Exception) -> str:
    """Return the words of an error that is for users, and the kind of any other."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _passing(error: Exception, repository: str) -> Passing | None:
    flake = transient.of_registry(error, repository) if isinstance(error, RegistryError) else None
    return Passing(why=str(error), flake=flake) if flake else None
