"""What is settled of images' checks, kept beside their nodes: so `push` may run where nothing was verified.

It lies below a tag of the node's digest, as signatures do: lines of JSON as `.imagematrix/verified.jsonl` has them.
Where nodes are signed, these lines are too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from imagematrix.errors import RegistryError
from imagematrix.model import Key
from imagematrix.planning import checks
from imagematrix.planning.checks import Settled
from imagematrix.registry import signatures
from imagematrix.registry.answers import Manifest
from imagematrix.registry.vouching import Voucher
from imagematrix.text import documents

KIND: Final = "application/vnd.imagematrix.checks.v1+jsonl"


def tag(digest: str) -> str:
    """Return the tag that what is settled of an image has."""
    return signatures.tag(digest, kind="checks")


class Settlements:
    """What the node cache says of checks. Its methods may be called from any thread, and raise RegistryError."""

    def __init__(self, voucher: Voucher) -> None:
        """Take what judges by signatures, and signs, where nodes are signed."""
        self._voucher = voucher

    def of(self, key: Key, manifest: Manifest) -> tuple[Settled, ...]:
        """Return what is settled of a node's image, by each of the ids that engines may know it by."""
        ids = {manifest.digest, manifest.config} - {""}
        known = (one for one in self._read(manifest.digest) if (one.key, one.image) == (key, manifest.digest))
        return tuple(replace(one, image=id_) for one in known for id_ in ids)

    def of_key(self, key: Key) -> tuple[Settled, ...]:
        """Return what is settled of the image that the node cache has under a key."""
        digest = self._voucher.client.digest(self._voucher.repository, key)
        if not digest or self._voucher.doubt(key, digest):
            return ()
        return self.of(key, self._voucher.client.manifest(self._voucher.repository, digest))

    def add(self, key: Key, digest: str, settled: Iterable[Settled]) -> None:
        """Keep what is settled of a node's image, with what was before."""
        known = {(one.key, one.owner, one.fingerprint): one for one in self._read(digest)}
        known |= {(key, one.owner, one.fingerprint): replace(one, key=key, image=digest) for one in settled}
        text = "".join(f"{checks.line(one)}\n" for one in known.values()).encode()
        signature = self._voucher.signer(text) if self._voucher.signer else b""
        artifact = signatures.attached(text, signature, kind=KIND)
        self._voucher.client.attach(self._voucher.repository, tag(digest), artifact)

    def _read(self, digest: str) -> Sequence[Settled]:
        voucher = self._voucher
        found = voucher.client.attachments(voucher.repository, tag(digest), kind=KIND)
        texts = [each.text for each in found if _is_valid(voucher, each)]
        lines = (documents.read_lines(text.decode(errors="replace"), checks.settled)[0] for text in texts)
        return [one for each in lines for one in each]


def _is_valid(voucher: Voucher, found: signatures.Signature) -> bool:
    return voucher.verifier is None or voucher.verifier.accepts(found.text, found.signature)


def quiet(settlements: Settlements, key: Key, manifest: Manifest) -> tuple[Settled, ...]:
    """Return what is settled of an image; nothing if the registry does not say it: its checks then run once more."""
    try:
        return settlements.of(key, manifest)
    except RegistryError:
        return ()
