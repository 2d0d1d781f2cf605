"""Whether what the registry of nodes has under a key may be believed to be that node."""

from dataclasses import dataclass

from imagematrix.model import Key
from imagematrix.planning import trust
from imagematrix.planning.trust import Bonds


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """Judges nodes by what is recorded of them."""

    repository: str
    bonds: Bonds

    def doubt(self, key: Key, digest: str) -> str:
        """Return why the manifest with this digest is not believed to be a node; empty: it is."""
        return trust.doubt_of_kept(key, digest, self.bonds, self.repository)
