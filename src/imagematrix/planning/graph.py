"""Nodes in, the DAG out: order, dependencies, what is needed. The only home of networkx.

Imported where a DAG is made or walked: the import takes longer than a command without one.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagematrix.model import Key, Node, Row

if TYPE_CHECKING:
    import networkx as nx

    Digraph = nx.DiGraph[Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """The layer DAG of a set of rows."""

    nodes: Mapping[Key, Node]
    final_nodes: Mapping[str, Key]
    """Row name -> its last node."""
    rows: Mapping[str, Row]
    shape: "Digraph" = field(repr=False)

    def order(self) -> Iterator[Node]:
        """Yield every node, parents first; the same for the same rows, whatever their order in the file."""
        import networkx as nx

        return (self.nodes[key] for key in nx.topological_sort(self.shape))

    def needed(self, present: Collection[Key]) -> set[Key]:
        """Return what must be built: missing nodes on which something missing and wanted is built.

        A reused leaf needs none of its ancestors.
        """
        missing: set[Key] = set()
        for tip in self.final_nodes.values():
            key: Key | None = tip
            while key is not None and key not in present and key not in missing:
                missing.add(key)
                key = self.nodes[key].parent
        return missing

    def rows_by_node(self) -> Mapping[Key, tuple[str, ...]]:
        """Return for each node the names of the rows that need it, sorted."""
        rows: dict[Key, list[str]] = {key: [] for key in self.nodes}
        for name, tip in self.final_nodes.items():
            key: Key | None = tip
            while key is not None:
                rows[key].append(name)
                key = self.nodes[key].parent
        return {key: tuple(names) for key, names in rows.items()}


def build(chains: Mapping[str, tuple[Node, ...]]) -> Dag:
    """Join the chains of rows (row name -> its nodes, first to last) where they share nodes."""
    import networkx as nx

    ordered = {name: chains[name] for name in sorted(chains)}
    nodes = {node.key: node for chain in ordered.values() for node in chain}
    shape: Digraph = nx.DiGraph()
    shape.add_nodes_from(nodes)
    shape.add_edges_from((node.parent, node.key) for node in nodes.values() if node.parent)
    final_nodes = {name: chain[-1].key for name, chain in ordered.items()}
    rows = {name: chain[-1].leaf.row for name, chain in ordered.items()}
    return Dag(nodes=nodes, final_nodes=final_nodes, rows=rows, shape=nx.freeze(shape))
