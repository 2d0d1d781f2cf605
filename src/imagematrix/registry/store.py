"""Where nodes are kept for all machines: one repository of a registry, in which each has its key as tag."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from imagematrix.errors import RegistryError
from imagematrix.model import Key
from imagematrix.planning.graph import Dag
from imagematrix.registry import Manifest
from imagematrix.registry.vouching import Voucher

_NONE: Final[Mapping[Key, str]] = MappingProxyType({})


def node_name(repository: str, key: Key) -> str:
    """Return what a node is called in the registry."""
    return f"{repository}:{key}"


class Store:
    """The node cache. A registry that does not answer, or refuses, is reported once and treated as empty."""

    def __init__(self, voucher: Voucher, *, say: Callable[[str], None]) -> None:
        self.repository = voucher.repository
        self.client = voucher.client
        self.voucher = voucher
        self._say = say
        self.is_silent = False
        """Whether it did not answer, or refused."""
        self._doubts: dict[Key, str] = {}

    @property
    def doubts(self) -> Mapping[Key, str]:
        """Why requested nodes that the registry has are not accepted."""
        return self._doubts

    def keys(self, dag: Dag, present: Collection[Key], *, whole: bool = False) -> Mapping[Key, str]:
        """Return which nodes of a DAG are kept, of those that a plan depends on, each with its digest; or of all.

        Nodes `present` on the engine are not looked up. The final nodes are looked up first, all at once; then
        everything below the missing ones. An image that is not accepted as the node counts as missing.
        """
        if whole:
            return self.digests(dag.nodes.keys())
        asked = {*dag.ends}.difference(present)
        kept = self.digests(asked)
        return {**kept, **self.digests({*dag.needed(present, kept).keys} - asked)}

    def manifests(self, kept: Mapping[Key, str]) -> Mapping[Key, Manifest]:
        """Return what is known of nodes that are kept, by their digests."""
        try:
            found = {} if self.is_silent else self.client.manifests(self.repository, {*kept.values()})
        except RegistryError as error:
            self._give_up(error)
            return {}
        return {key: found[digest] for key, digest in kept.items() if digest in found}

    def digests(self, keys: Collection[Key]) -> Mapping[Key, str]:
        """Return which of some nodes are kept, each with its digest."""
        if self.is_silent:
            return _NONE
        try:
            found = {Key(key): digest for key, digest in self.client.digests(self.repository, keys).items()}
            doubts = self.voucher.doubts(found)
        except RegistryError as error:
            self._give_up(error)
            return _NONE
        self._doubts.update(doubts)
        return {key: digest for key, digest in found.items() if key not in doubts}

    def _give_up(self, error: RegistryError) -> None:
        self.is_silent = True
        self._say(f"{error}\n    Continuing with what the engine has.")
