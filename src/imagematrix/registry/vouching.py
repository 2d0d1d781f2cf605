"""Whether what the node cache has under a key may be believed to be that node."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from imagematrix.model import KEY_LABEL, Key
from imagematrix.planning import trust
from imagematrix.planning.trust import Bonds
from imagematrix.registry import signatures
from imagematrix.registry.client import Client
from imagematrix.registry.signatures import Signature
from imagematrix.signing import Signer, Verifier

_SHORT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """Judges nodes by what is recorded of them and, where nodes are signed, by their signatures."""

    repository: str
    bonds: Bonds
    client: Client
    """What looks up signatures."""
    verifier: Verifier | None = None
    """None: nodes are not signed."""
    signer: Signer | None = None
    """Signs what this machine pushes; None: it pushes nothing, or nodes are not signed."""

    def doubt(self, key: Key, digest: str) -> str:
        """Return why the manifest with this digest is not believed to be a node; empty: it is. Raises RegistryError."""
        return self.doubts({key: digest}).get(key, "")

    def doubts(self, found: Mapping[Key, str]) -> Mapping[Key, str]:
        """Return why manifests, by key and digest, are not believed to be these nodes; of others nothing.

        Raises RegistryError.
        """
        if self.verifier:
            return self._unsigned(found, self.verifier)
        judged = {key: trust.doubt_of_kept(key, found[key], self.bonds, self.repository) for key in found}
        return {**self._mislabelled(found), **{key: why for key, why in judged.items() if why}}

    def sign(self, key: Key, digest: str) -> None:
        """Sign what is in the registry under a key, where nodes are signed. Raises RegistryError."""
        if self.signer:
            text = signatures.text(self.repository, key, digest)
            self.client.sign(self.repository, digest, Signature(text=text, signature=self.signer(text)))

    def _mislabelled(self, found: Mapping[Key, str]) -> Mapping[Key, str]:
        """Return why images that are seen for the first time are not believed: they do not say that they are the node.

        A label proves nothing against who may write there, but a tag that was moved by mistake is found out.
        """
        new = {key: digest for key, digest in found.items() if not self.bonds.of(key, self.repository)}
        configs = self.client.configs(self.repository, {*new.values()}) if new else {}
        labels = {key: configs[digest].labels.get(KEY_LABEL) for key, digest in new.items()}
        return {
            key: f"{self.repository} has an image under this key ({new[key]}) that "
            + (f"is the node {label[:_SHORT]}…" if label else "is not a node of imagematrix")
            for key, label in labels.items()
            if label != key
        }

    def _unsigned(self, found: Mapping[Key, str], verifier: Verifier) -> Mapping[Key, str]:
        unknown = {key: digest for key, digest in found.items() if not self.bonds.hold(key, digest, self.repository)}
        signed = self.client.signatures(self.repository, {*unknown.values()})

        def is_valid(key: Key, digest: str, one: Signature) -> bool:
            return signatures.is_about(one.text, key, digest) and verifier.accepts(one.text, one.signature)

        return {
            key: f"{self.repository} has an image under this key ({digest}) that "
            + ("has no valid signature: someone else put it there" if signed[digest] else "is not signed")
            for key, digest in unknown.items()
            if not any(is_valid(key, digest, one) for one in signed[digest])
        }
