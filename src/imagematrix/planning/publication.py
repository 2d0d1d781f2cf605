"""Under which names an image is published, and which tags may stand for it: decides, sends nothing.

An immutable tag names one image for ever. Moving tags follow the newest image that was verified, but never to another
minor version of what their family promises: who pulls them again must be able to go on.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagematrix.model import LATEST, Key, Retry, Row
from imagematrix.planning import keys
from imagematrix.text import platforms, versions

VERSIONS_LABEL: Final = "imagematrix.versions"
"""The label by which an image says what moving tags must stay with, like `cuda=12.1 python=3.10 torch=2.4`."""
_ALWAYS: Final = ("cuda", "paddle", "python", "tensorflow", "torch")
"""Promised also where they are facts, as those of a base: every image's label has always named the ones it has."""
_KEY_DIGITS: Final = 12


class PublishOutcome(StrEnum):
    """What became of a tag."""

    PUSHED = "pushed"
    """An immutable tag is new."""
    MOVED = "moved"
    """A moving tag stands for another image than before, or for its first."""
    KEPT = "kept"
    """It stood for this image already."""
    WAITING = "waiting"
    """It moves when the image is verified, and is as it was."""
    REFUSED = "refused"
    """It must not stand for this image, and is as it was."""
    FAILED = "failed"
    """The registry or the connection failed."""


GOOD: Final = frozenset({PublishOutcome.PUSHED, PublishOutcome.MOVED, PublishOutcome.KEPT})
UNVERIFIED: Final = "not all checks of its layers and its destination have passed"
_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_DOCKER: Final = "application/vnd.docker."
UNCHECKED: Final = "unchecked: none of its layers has a check that could pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A tag in a repository, `host[:port]/path`."""

    repository: str
    tag: str

    @property
    def name(self) -> str:
        """The whole name, as docker pulls it."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is to become of a tag, or what became of it."""

    target: Target
    outcome: PublishOutcome
    digest: str = ""
    """What it stands for now, where that is known."""
    update_bytes: int = 0
    """What a machine with the tag's previous image downloads, compressed: filesystem layers that are new."""
    why: str = ""
    retries: tuple[Retry, ...] = ()

    @property
    def good(self) -> bool:
        """The tag stands for the image."""
        return self.outcome in GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a tag stands for in its registry."""

    digest: str
    config: str
    """Digest of its configuration: what most engines know the image by."""
    versions: Mapping[str, str] | None = None
    """None: it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What became of an image's tags: the immutable ones, then those that move."""

    row: Row
    tags: tuple[Published, ...]
    built: bool = True
    """There is an image, on the engine or in the node cache."""
    since: str = ""
    """The day, in UTC, on which the image was made, if every moving tag stood for it already; empty: if not."""
    awaits: tuple[str, ...] = ()
    """The Docker platforms that its moving tags wait for: this run was not to publish their images."""

    @property
    def good(self) -> bool:
        """Every tag stands for the image, or will as soon as another run publishes it for the other platforms."""
        return self.built and all(tag.good or self._awaits(tag) for tag in self.tags)

    @property
    def is_kept(self) -> bool:
        """Every tag stood for the image already."""
        return all(tag.outcome is PublishOutcome.KEPT for tag in self.tags)

    def _awaits(self, tag: Published) -> bool:
        return bool(self.awaits) and tag.outcome is PublishOutcome.WAITING

    @property
    def sound(self) -> bool:
        """Nothing is wrong; at most it must be verified before tags move."""
        return self.built and all(tag.good or tag.outcome is PublishOutcome.WAITING for tag in self.tags)


def immutable(row: Row, key: Key, *, created: str) -> tuple[Target, ...]:
    """Return the immutable tag of an image in each registry of its row.

    `created` is when the image was made (RFC 3339, UTC), so that the tag is the same whenever it is pushed.
    """
    alone = row.published_tag + (platforms.suffix(row.platform) if row.shares else "")
    return _targets(row, alone, key, created)


def immutable_index(row: Row, members: Mapping[Key, str]) -> tuple[Target, ...]:
    """Return the immutable tag of the index of some images in each registry of a row.

    The images are given by their keys, with when they were made: the index is as old as the newest.
    """
    return _targets(row, row.published_tag, Key(keys.hash_of(sorted(members))), max(members.values()))


def _targets(row: Row, tag: str, key: Key, created: str) -> tuple[Target, ...]:
    name = f"{tag}-{created[:10].replace('-', '')}-{key[:_KEY_DIGITS]}"
    return tuple(Target(repository=repository, tag=name) for repository in row.repositories)


def moving(row: Row) -> tuple[Target, ...]:
    """Return the moving tags of a row in each of its registries."""
    tags = (row.published_tag, row.published_tag + LATEST)
    return tuple(Target(repository=repository, tag=tag) for repository in row.repositories for tag in tags)


def decide_immutable(target: Target, held: Held | None, image: Collection[str]) -> Published:
    """Return whether an image is pushed under its immutable tag; `image` are the digests that it may be known by."""
    if held is None:
        return Published(target=target, outcome=PublishOutcome.PUSHED)
    if {held.digest, held.config}.intersection(image):
        return Published(target=target, outcome=PublishOutcome.KEPT, digest=held.digest)
    why = (
        "another image has this immutable tag: an image of the same key, made elsewhere on that day. "
        "It is left unchanged: remove it from the registry, and let machines share nodes (`nodes` in the matrix)"
    )
    return Published(target=target, outcome=PublishOutcome.REFUSED, digest=held.digest, why=why)


def decide_moving(  # three of them by name
    target: Target,
    held: Held | None,
    new: Held,
    *,
    verified: bool,
    why: str = UNVERIFIED,
    promises: Collection[str] | None = None,
) -> Published:
    """Return whether a moving tag may stand for a new image; `why` is the reason where it is not verified.

    `promises` are what the tags of the image's family promise; None: everything that the images' labels name.
    """
    if held and held.digest == new.digest:
        return Published(target=target, outcome=PublishOutcome.KEPT, digest=held.digest)
    clash = _clash(held.versions if held else new.versions, new.versions, promises)
    return _decided(target, held.digest if held else "", new.digest, clash=clash, why="" if verified else why)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMember:
    """An image that an index is made of."""

    platform: str
    """Docker's."""
    digest: str
    bytes: int
    """The size of its manifest."""
    media_type: str
    """Of its manifest."""
    versions: Mapping[str, str] | None
    """As its label says; None: it does not say."""
    why: str
    """Why it is not verified; empty: it is."""


def index(members: Sequence[IndexMember]) -> tuple[str, bytes]:
    """Return media type and text of the index of some images, in their order.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md
    """
    of_docker = all(member.media_type.startswith(_DOCKER) for member in members)
    media_type = _LIST if of_docker else _INDEX
    entries = [
        {
            "mediaType": member.media_type,
            "digest": member.digest,
            "size": member.bytes,
            "platform": platforms.parts(member.platform),
        }
        for member in members
    ]
    return media_type, json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()


def decide_index(
    target: Target,
    held: Mapping[str, Held],
    now: str,
    new: str,
    *,
    members: Sequence[IndexMember],
    promises: Collection[str] | None,
) -> Published:
    """Return whether a moving tag may stand for the index with the digest `new` instead of what it is for `now`.

    `held` is what it stands for on each Docker platform; where it stands for nothing, any image may follow.
    """
    if now == new:
        return Published(target=target, outcome=PublishOutcome.KEPT, digest=now)
    clashes = (
        _clash(
            held[member.platform].versions if member.platform in held else member.versions, member.versions, promises
        )
        for member in members
    )
    named = (f"{member.platform}: {clash}" for member, clash in zip(members, clashes, strict=True) if clash)
    waits = (f"{member.platform}: {member.why}" for member in members if member.why)
    return _decided(target, now, new, clash=next(named, ""), why=next(waits, ""))


def _decided(target: Target, now: str, new: str, *, clash: str, why: str) -> Published:
    if clash:
        return Published(target=target, outcome=PublishOutcome.REFUSED, digest=now, why=clash)
    if why:
        return Published(target=target, outcome=PublishOutcome.WAITING, digest=now, why=why)
    return Published(target=target, outcome=PublishOutcome.MOVED, digest=new)


def incomplete(targets: Iterable[Target], lacking: Sequence[str]) -> tuple[Published, ...]:
    """Return moving tags that do not move yet: some Docker platforms have no image."""
    why = f"moving tags are moved once the image is there for each platform, and {', '.join(lacking)} lacks it"
    return tuple(Published(target=target, outcome=PublishOutcome.WAITING, why=why) for target in targets)


def standing(moving: Collection[tuple[Target, Held | None]], image: Collection[str]) -> tuple[Published, ...]:
    """Return the moving tags of a row, each with what it stands for, if all stand for this image; else nothing.

    Then the image was published before, under the key of that day: there is nothing to push, and no tag moves.
    """
    found = tuple(
        Published(target=target, outcome=PublishOutcome.KEPT, digest=held.digest)
        for target, held in moving
        if held and {held.digest, held.config}.intersection(image)
    )
    return found if len(found) == len(moving) else ()


def new_bytes(old: Mapping[str, int], new: Mapping[str, int]) -> int:
    """Return how much of an image a machine that has another one downloads; both are digest -> bytes."""
    return sum(size for digest, size in new.items() if digest not in old)


def doubted(targets: Iterable[Target], why: str) -> tuple[Published, ...]:
    """Return tags that stay as they are, because the image that would go there is not believed to be the row's."""
    return tuple(Published(target=target, outcome=PublishOutcome.REFUSED, why=why) for target in targets)


def arrived(target: Target, held: Held | None, image: Collection[str]) -> Published:
    """Return what became of a push, by what the registry holds after it; `image` are the digests it may be known by."""
    if held and {held.digest, held.config}.intersection(image):
        return Published(target=target, outcome=PublishOutcome.PUSHED, digest=held.digest)
    has = f"the image {held.digest}" if held else "nothing"
    why = f"after the push the registry has {has} under this tag, and not the image that was pushed: someone moved it"
    return Published(target=target, outcome=PublishOutcome.FAILED, digest=held.digest if held else "", why=why)


def held_back(targets: Iterable[Target], immutable: Iterable[Published]) -> tuple[Published, ...]:
    """Return moving tags that are left unchanged without a look, because an immutable tag is missing."""
    missing = next(each.target.name for each in immutable if not each.good)
    why = f"moving tags are moved once every immutable tag exists, and {missing} does not"
    return tuple(Published(target=target, outcome=PublishOutcome.FAILED, why=why) for target in targets)


def _clash(
    old: Mapping[str, str] | None, new: Mapping[str, str] | None, promises: Collection[str] | None = None
) -> str:
    """Say which promise of a tag a move would break.

    What the old image's label does not name was no promise when it was made, unless labels have always named it.
    """
    if new is None:
        return f"this image does not declare its versions (no label {VERSIONS_LABEL}): rebuild it"
    if old is None:
        return (
            f"its image does not declare its versions (no label {VERSIONS_LABEL}) and may be someone else's: "
            "remove the tag from the registry if it is not needed, and push again"
        )
    changes = [
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in sorted({*old, *new} if promises is None else promises)
        if old.get(name) != new.get(name) and (name in old or name in _ALWAYS)
    ]
    if not changes:
        return ""
    return (
        f"users of this tag would get other versions: {', '.join(changes)}. Put what differs into the family's tag, so "
        "that both exist, or remove the tag from the registry if it is not needed"
    )


def label(row: Row) -> str:
    """Return what a row's image says of what its moving tags promise, as far as the row does."""
    promises = row.family.promises
    found = {name: _minor(row.values[name]) for name in (*row.axes, *_ALWAYS) if name in row.values and name != "base"}
    if promises is not None:
        found = {name: _minor(row.values[name]) or _word(row.values[name]) for name in promises if name in row.values}
    return " ".join(f"{name}={found[name]}" for name in sorted(found) if found[name])


def labelled(labels: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the versions in an image's labels; None if the labels have none."""
    if VERSIONS_LABEL not in labels:
        return None
    return dict(word.split("=", 1) for word in labels[VERSIONS_LABEL].split() if "=" in word)


def _minor(text: str) -> str:
    """Return the version that must stay; nothing if it is not a version: `system` may be any."""
    found = versions.version(text)
    return versions.minor(text) or str(found or "")


def _word(text: str) -> str:
    """Return a text as a label holds it: words are parted by spaces there."""
    return "_".join(text.split())
