"""What a signature of a node says, and how registries keep it: as cosign does, below a tag of the node's digest.

The format is cosign's "simple signing" (sigstore/cosign, specs/SIGNATURE_SPEC.md). Beside the digest it names the
node's key: a signature of one node does not make another one valid.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imagematrix.model import Key
from imagematrix.planning.keys import digest_of
from imagematrix.text import documents
from imagematrix.text.documents import Bytes, DamagedError, Digest

MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
MOST: Final = 8
"""How many signatures of one node are looked at."""
MOST_BYTES: Final = 64 * 1024
"""How big the text of a signature may be."""
_CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
KIND: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE: Final = "dev.cosignproject.cosign/signature"
_KEY: Final = "imagematrix.key"
_TYPE: Final = "cosign container image signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A signature, or another attachment, as a manifest lists it."""

    text: str
    """The digest of what was signed."""
    signature: bytes
    """Empty: what is attached is not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What was signed, and the signature."""

    text: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What is put into a registry."""

    manifest: bytes
    blobs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    digest: Digest
    size: Bytes
    mediaType: str = ""  # noqa: N815  (the specification's name)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    layers: tuple[_Layer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Critical:
    image: Mapping[str, str]
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    critical: _Critical
    optional: Mapping[str, Any] | None = None


def tag(digest: str, *, kind: str = "sig") -> str:
    """Return the tag of what is attached to an image: its signatures, or what else is of a kind."""
    return f"{digest.replace(':', '-')}.{kind}"


def text(repository: str, key: Key, digest: str) -> bytes:
    """Return what is signed of a node."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": _TYPE,
    }
    return json.dumps({"critical": critical, "optional": {_KEY: key}}, separators=(",", ":")).encode()


def is_about(signed: bytes, key: Key, digest: str) -> bool:
    """Whether a text that was signed says that a digest is a node. Where that is may have moved since."""
    try:
        said = documents.read(signed.decode(errors="replace"), _Text)
    except DamagedError:
        return False
    critical = said.critical
    return (
        critical.type == _TYPE
        and critical.image.get("docker-manifest-digest") == digest
        and (said.optional or {}).get(_KEY) == key
    )


def attached(signed: bytes, signature: bytes, *, kind: str = KIND) -> Attached:
    """Return what a registry is to keep of a signature, or of a text of another kind, signed or not."""
    of_text = digest_of(signed)
    config = json.dumps({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [of_text]}}).encode()
    layer = {
        "mediaType": kind,
        "size": len(signed),
        "digest": of_text,
        "annotations": {_SIGNATURE: base64.b64encode(signature).decode()},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "size": len(config), "digest": digest_of(config)},
        "layers": [layer],
    }
    return Attached(manifest=json.dumps(manifest).encode(), blobs=(config, signed))


def listed(manifest: bytes, *, kind: str = KIND, most: int = MOST_BYTES) -> tuple[Listed, ...]:
    """Return the signatures of a manifest, or what else of a kind is attached; nothing if it is not a list of these."""
    try:
        found = documents.read(manifest.decode(errors="replace"), _Manifest)
    except DamagedError:
        return ()
    layers = [each for each in found.layers if each.mediaType == kind and each.size <= most]
    read = ((each.digest, _decoded(each.annotations.get(_SIGNATURE, ""))) for each in layers[:MOST])
    return tuple(Listed(text=digest, signature=signature) for digest, signature in read if signature or kind != KIND)


def _decoded(said: str) -> bytes:
    try:
        return base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return b""
