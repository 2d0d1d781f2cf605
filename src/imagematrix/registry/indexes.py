"""Publishes the images of one row for several Docker platforms as one index, which its moving tags stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from imagematrix.errors import NoEngineError, RegistryError
from imagematrix.model import Key, Row
from imagematrix.planning import keys, publication
from imagematrix.planning.publication import Held, IndexMember, Publication, Published, PublishOutcome, Target
from imagematrix.registry.answers import Manifest
from imagematrix.registry.publisher import PublishedImage, Publisher, failed


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedRow:
    """A row that is to be published with those of the other platforms."""

    row: Row
    key: Key
    image: str
    """The id of its image on the engine; empty: the image in the node cache."""
    is_optional: bool = False
    """It was not asked for: as long as it has no image that is verified, the others wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A row whose image is there."""

    row: Row
    image: PublishedImage
    tags: tuple[Published, ...] = ()
    """Its immutable tags."""

    def digest(self, repository: str) -> str:
        """Return what its image is known by in a repository."""
        return next(tag.digest for tag in self.tags if tag.target.repository == repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """The index as one repository gets it."""

    manifest: Manifest
    members: tuple[IndexMember, ...]


class IndexPublisher:
    """Publishes rows together, from any thread. Errors of registries and the engine are part of the outcome."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._client = publisher.client

    def publish(self, offered: Sequence[OfferedRow]) -> tuple[Publication, ...]:
        """Publish each row's image under its immutable tag; once all platforms have theirs, the index."""
        targets = publication.moving(offered[0].row)
        try:
            return self._publish(targets, offered)
        except Exception as error:  # noqa: BLE001  (a failure is that of these images, and never lost)
            tags = tuple(failed(target, error) for target in targets)
            return tuple(Publication(row=each.row, tags=tags) for each in offered)

    def _publish(self, targets: Sequence[Target], offered: Sequence[OfferedRow]) -> tuple[Publication, ...]:
        members, without = self._found(offered)
        shares = offered[0].row.shares
        lacking = [platform for platform in shares if platform not in {each.row.platform for each in members}]
        if not lacking and (same := self._unchanged(targets, members)):
            since = max(each.image.created for each in members)[:10]
            return tuple(Publication(row=each.row, tags=same, since=since) for each in members)
        members = [replace(each, tags=self._publisher.immutable(each.row, each.image)) for each in members]
        own = [tag for each in members for tag in each.tags]
        if lacking:
            index = publication.incomplete(targets, lacking)
        elif all(tag.good for tag in own):
            index = self._published(targets, sorted(members, key=lambda each: shares.index(each.row.platform)))
        else:
            index = publication.held_back(targets, own)
        awaits = () if without else tuple(lacking)
        return (*without, *(Publication(row=each.row, tags=(*each.tags, *index), awaits=awaits) for each in members))

    def _found(self, offered: Sequence[OfferedRow]) -> tuple[list[_Member], list[Publication]]:
        """Return the rows that have an image, and what came of the others that were asked for."""
        members, without = list[_Member](), list[Publication]()
        for each in offered:
            found = self._publisher.found(each.row, each.key, each.image)
            if isinstance(found, Publication):
                without += [found] if found.built or not each.is_optional else []
            elif not (each.is_optional and self._publisher.unverified(each.row, found)):
                members.append(_Member(row=each.row, image=found))
        return members, without

    def _published(self, targets: Sequence[Target], members: Sequence[_Member]) -> tuple[Published, ...]:
        """Publish the index under its immutable tag in each registry, then move the other tags to it."""
        row, made = members[0].row, dict[str, _Index]()
        why = [self._publisher.unverified(each.row, each.image) for each in members]
        created = {each.image.key: each.image.created for each in members}

        def push(target: Target) -> Published:
            index = made[target.repository] = self._index(target.repository, members, why)
            return self._push(target, index.manifest)

        pushed = tuple(self._publisher.tried(push, target) for target in publication.immutable_index(row, created))
        if not all(tag.good for tag in pushed):
            return (*pushed, *publication.held_back(targets, pushed))
        return (
            *pushed,
            *(self._publisher.tried(self._move, target, made[target.repository], row) for target in targets),
        )

    def _index(self, repository: str, members: Sequence[_Member], why: Sequence[str]) -> _Index:
        """Return the index of images that a repository has."""
        listed = []
        for each, reason in zip(members, why, strict=True):
            manifest = self._client.manifest(repository, each.digest(repository))
            listed.append(
                IndexMember(
                    platform=each.row.platform,
                    digest=manifest.digest,
                    bytes=len(manifest.text),
                    media_type=manifest.media_type,
                    versions=each.image.versions,
                    why=reason,
                )
            )
        media_type, text = publication.index(listed)
        made = Manifest(
            repository=repository,
            digest=keys.digest_of(text),
            media_type=media_type,
            text=text,
            blobs={},
            config="",
            members={each.platform: each.digest for each in listed},
        )
        return _Index(manifest=made, members=tuple(listed))

    def _push(self, target: Target, index: Manifest) -> Published:
        """Push an index, unless its immutable tag stands for it already."""
        there = self._publisher.manifest(target)
        held = Held(digest=there.digest, config="") if there else None
        decided = publication.decide_immutable(target, held, (index.digest,))
        if decided.outcome is not PublishOutcome.PUSHED:
            return decided
        self._client.tag(index, target.tag)
        return replace(decided, digest=index.digest)

    def _move(self, target: Target, index: _Index, row: Row) -> Published:
        """Let a moving tag stand for an index, if it may."""
        now, new = self._publisher.manifest(target), index.manifest.digest
        decided = publication.decide_index(
            target,
            self._publisher.held_images(now, row.platform) if now and now.digest != new else {},
            now.digest if now else "",
            new,
            members=index.members,
            promises=row.family.promises,
        )
        if decided.outcome is PublishOutcome.MOVED:
            self._client.tag(index.manifest, target.tag)
        return decided

    def _unchanged(self, targets: Sequence[Target], members: Sequence[_Member]) -> tuple[Published, ...]:
        """Return the moving tags, if each stands for exactly these images; else nothing."""
        same = []
        try:
            for target in targets:
                manifest = self._publisher.ask(target.repository, self._publisher.manifest, target)
                if manifest is None or not self._is_of(manifest, members):
                    return ()
                same.append(Published(target=target, outcome=PublishOutcome.KEPT, digest=manifest.digest))
        except (RegistryError, NoEngineError):
            return ()  # what is pushed then fails for the same reason, which is reported
        return tuple(same)

    def _is_of(self, manifest: Manifest, members: Sequence[_Member]) -> bool:
        """Whether an index is that of some images, and of no others."""
        wanted = {each.row.platform: each.image.ids for each in members}
        if manifest.members.keys() != wanted.keys():
            return False
        there = self._publisher.held_images(manifest, "")
        return all(
            {there[platform].digest, there[platform].config}.intersection(ids) for platform, ids in wanted.items()
        )
