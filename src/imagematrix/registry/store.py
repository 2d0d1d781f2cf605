"""Where nodes are kept for all machines: one repository of a registry, in which each has its key as tag."""

from collections.abc import Callable, Collection, Mapping

from imagematrix.errors import RegistryError
from imagematrix.model import Key
from imagematrix.planning.graph import Dag
from imagematrix.registry import Client, Manifest


def node_name(repository: str, key: Key) -> str:
    """Return what a node is called in the registry."""
    return f"{repository}:{key}"


class Store:
    """The nodes in a registry. One that does not answer, or refuses, is told once: then it has none that we know of."""

    def __init__(self, repository: str, client: Client, *, say: Callable[[str], None]) -> None:
        self.repository = repository
        self.client = client
        self._say = say
        self._is_silent = False

    def keys(self, dag: Dag, present: Collection[Key], *, whole: bool = False) -> frozenset[Key]:
        """Return which nodes of a DAG are kept, of those that a plan depends on; with `whole` of all.

        What is `present` on the engine is not asked for. First all last nodes are, at once; then all that the missing
        ones stand on.
        """
        if whole:
            return frozenset(self._ask(dag.nodes.keys()))
        asked = {*dag.tips.values()}.difference(present)
        kept = self._ask(asked)
        return frozenset(kept | self._ask(dag.needed({*present, *kept}) - asked))

    def manifests(self, keys: Collection[Key]) -> Mapping[Key, Manifest]:
        """Return what is known of nodes that are kept."""
        try:
            found = {} if self._is_silent else self.client.manifests(self.repository, keys)
        except RegistryError as error:
            self._give_up(error)
            return {}
        return {Key(key): manifest for key, manifest in found.items()}

    def _ask(self, keys: Collection[Key]) -> set[Key]:
        try:
            return set() if self._is_silent else {Key(key) for key in self.client.digests(self.repository, keys)}
        except RegistryError as error:
            self._give_up(error)
            return set()

    def _give_up(self, error: RegistryError) -> None:
        self._is_silent = True
        self._say(f"{error}\n    Going on with what the engine has.")
