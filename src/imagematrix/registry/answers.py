"""What registries answer, decoded: one function for each question. A registry may be broken, or hostile.

Each raises RegistryError, which names the registry and what is wrong with its answer, whatever the bytes are. Content
is believed by its digest, which is computed here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from imagematrix.errors import RegistryError
from imagematrix.planning import keys
from imagematrix.text import platforms
from imagematrix.text.documents import Bytes, DamagedError, Digest
from imagematrix.text.names import is_digest, is_loopback
from imagematrix.text.visible import printable
from imagematrix.web import Reply

_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""The grammar of tags (distribution spec)."""
_MEDIA_TYPE: Final = re.compile(r"application/[A-Za-z0-9.+-]{1,100}")
_HEADER: Final = re.compile(r"[\x21-\x7e]+")
"""What a token may consist of: it becomes a part of a header."""
_LONGEST_COMPLAINT: Final = 500
_UNKNOWN: Final = "unknown/unknown"
"""The platform of attestations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    digest: Digest
    size: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    os: str = ""
    architecture: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    digest: Digest
    platform: _Platform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """A manifest, or a list of them."""

    mediaType: str = ""  # noqa: N815  (the specification's name)
    config: _Part | None = None
    layers: tuple[_Part, ...] = ()
    manifests: tuple[_Entry, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An image as a registry keeps it."""

    repository: str
    """`host[:port]/path`, as everywhere here."""
    digest: str
    media_type: str
    text: bytes
    """All of it, as it was written: its digest is that of these bytes."""
    blobs: Mapping[str, int]
    """The digests of what it is made of, each with its size in bytes: its configuration, then its layers."""
    config: str
    """The digest of its configuration, which engines know it by; empty for a list of images."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Of a list of images: the digests of their manifests, by the Docker platforms that they are for."""

    @property
    def platforms(self) -> tuple[str, ...]:
        """Of a list of images: system and processor that they are for, sorted, like `linux/amd64`."""
        return tuple(sorted({*map(platforms.without_variant, self.members)}))

    @property
    def bytes(self) -> int:
        """How much is downloaded by a machine that has none of it."""
        return sum(self.blobs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Config:
    Labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image says of itself."""

    created: str = ""
    os: str = ""
    architecture: str = ""
    config: _Config | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return (self.config.Labels if self.config else None) or {}

    @property
    def platform(self) -> str:
        """System and processor that it is for, like `linux/amd64`; empty where it does not say so."""
        found = printable(f"{self.os}/{self.architecture}")
        return found if platforms.is_platform(found) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tags:
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    token: str | None = None
    access_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Complaint:
    code: str = ""
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Complaints:
    errors: tuple[_Complaint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """How a registry wants to be logged in to."""

    scheme: str
    """`bearer`, `basic`, or anything else."""
    realm: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)


def digest(reply: Reply, registry: str) -> str:
    """Return the digest of the answer, from its header."""
    said = reply.headers.get("Docker-Content-Digest", "")
    if not is_digest(said):
        why = f"the digest {printable(said)[:80]!r} is not valid" if said else "no digest"
        raise invalid(registry, "a request for a tag", why)
    return said


def manifest(reply: Reply, repository: str, registry: str, *, reference: str) -> Manifest:
    """Return a manifest; its content must be what its reference and its digest say."""
    computed = keys.digest_of(reply.content)
    for said in (reply.headers.get("Docker-Content-Digest", ""), reference):
        if is_digest(said) and said != computed:
            raise invalid(registry, f"a request for {reference}", f"content of another digest, {computed}")
    try:
        found = reply.read(_Manifest)
        if found.config is None and found.manifests is None:
            raise DamagedError("it has neither a configuration nor manifests")  # noqa: TRY301  (one error for all)
    except DamagedError as error:
        raise invalid(registry, f"a request for {printable(reference)}", f"not a manifest: {error}") from None
    media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip() or found.mediaType
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise invalid(registry, f"a request for {printable(reference)}", "a manifest without a media type")
    parts = [*filter(None, [found.config]), *found.layers]
    return Manifest(
        repository=repository,
        digest=computed,
        media_type=media_type,
        text=reply.content,
        blobs={part.digest: part.size for part in parts},
        config=found.config.digest if found.config else "",
        members=_members(found.manifests or ()),
    )


def _members(entries: Iterable[_Entry]) -> Mapping[str, str]:
    """Return the images of a list; attestations, which are entries too, are for an unknown platform."""
    said = [(entry.platform, entry.digest) for entry in entries if entry.platform]
    named = {
        printable("/".join(filter(None, [platform.os, platform.architecture, platform.variant]))): digest
        for platform, digest in said
    }
    return {
        platform: digest
        for platform, digest in named.items()
        if platforms.is_platform(platform) and platform != _UNKNOWN
    }


def config(reply: Reply, registry: str, *, digest: str) -> ImageConfig:
    """Return what an image says of itself; its content must have the requested digest."""
    blob(reply, registry, digest=digest)
    try:
        return reply.read(ImageConfig)
    except DamagedError as error:
        raise invalid(registry, f"a request for {digest}", f"not the configuration of an image: {error}") from None


def blob(reply: Reply, registry: str, *, digest: str) -> bytes:
    """Return content, which must have the requested digest."""
    if keys.digest_of(reply.content) != digest:
        raise invalid(registry, f"a request for {digest}", "content of another digest")
    return reply.content


def upload(reply: Reply, registry: str, *, repository: str) -> str:
    """Return where an upload goes on, as a path below the repository's, which it must not leave."""
    try:
        said = urlsplit(reply.headers.get("Location", ""))
    except ValueError:
        said = urlsplit("")
    prefix = f"/v2/{repository}/"
    path = f"{said.path}?{said.query}" if said.query else said.path
    if not path.startswith(f"{prefix}blobs/uploads/") or ".." in path or not _HEADER.fullmatch(path):
        raise invalid(registry, "an upload", "a place outside of that repository")
    return path.removeprefix(prefix)


def tags(reply: Reply, registry: str) -> tuple[str, ...]:
    """Return a page of tags."""
    try:
        found = reply.read(_Tags).tags or ()
    except DamagedError as error:
        raise invalid(registry, "a request for tags", f"not a list of tags: {error}") from None
    if wrong := next((tag for tag in found if not _TAG.fullmatch(tag)), None):
        raise invalid(registry, "a request for tags", f"the tag {printable(wrong)[:80]!r} is not valid")
    return found


def challenge(reply: Reply, registry: str) -> Challenge:
    """Return how a registry that refused wants to be logged in to."""
    scheme, _, said = reply.headers.get("WWW-Authenticate", "").partition(" ")
    if scheme.lower() != "bearer":
        return Challenge(scheme=scheme.lower())
    try:
        asked = parse_keqv_list(parse_http_list(said))
    except (ValueError, IndexError):
        raise invalid(registry, "a request without a login", "a challenge that is not valid") from None
    wanted: dict[str, str] = {name: asked[name] for name in ("service", "scope") if name in asked}
    return Challenge(scheme="bearer", realm=_realm(asked.get("realm", ""), registry), wanted=wanted)


def _realm(url: str, registry: str) -> str:
    """Return where tokens are given; logins are sent there, so never in the clear to another machine."""
    try:
        parts = urlsplit(url)
        name = parts.hostname or ""
    except ValueError:
        parts, name = urlsplit(""), ""
    if not name or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(name))):
        raise invalid(registry, "a request without a login", "a token service whose address is not https://")
    return url


def token(reply: Reply, registry: str) -> str:
    """Return the token that a service gave."""
    try:
        said = reply.read(_Token)
    except DamagedError as error:
        raise invalid(registry, "a login", f"not a token: {error}") from None
    found = said.token or said.access_token or ""
    if not _HEADER.fullmatch(found):
        raise invalid(registry, "a login", "no token" if not found else "a token that is not valid")
    return found


def complaint(reply: Reply) -> str:
    """Return what a registry says is wrong, in its own words; empty when it says nothing."""
    try:
        errors = reply.read(_Complaints).errors
    except DamagedError:
        return ""
    return printable("; ".join(error.message or error.code for error in errors))[:_LONGEST_COMPLAINT]


def invalid(registry: str, question: str, why: str) -> RegistryError:
    """Return the error for an answer that no registry should give."""
    return RegistryError(
        f"registry {registry} gives an invalid answer to {question}: {why}\n"
        f"    is it a container registry, and not a proxy or a login page in front of one?"
    )


def retry_after(reply: Reply) -> float:
    """Return for how many seconds a registry wants to be left alone; 0: it does not say."""
    said = reply.headers.get("Retry-After", "")
    return min(float(said), 1e6) if said.isascii() and said.isdecimal() and len(said) < 10 else 0.0  # noqa: PLR2004
