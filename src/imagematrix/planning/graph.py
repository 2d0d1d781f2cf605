"""Nodes in, the DAG out: order, dependencies, what is needed. The only home of networkx.

Imported where a DAG is made or walked: the import takes longer than a command without one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imagematrix.model import Key, Node, Row

if TYPE_CHECKING:
    import networkx as nx

    Digraph = nx.DiGraph[Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededNodes:
    """What must be built of a DAG."""

    keys: Collection[Key]
    tools: Mapping[Key, Key]
    """Files of a package layer that must be built -> the node that installs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """The layer DAG of a set of rows."""

    nodes: Mapping[Key, Node]
    final_nodes: Mapping[str, Key]
    """Row name -> its last node."""
    rows: Mapping[str, Row]
    tools: Mapping[Key, tuple[Key, ...]]
    """Files of a package layer -> the nodes that can install them: those of its rows."""
    shape: "Digraph" = field(repr=False)
    wanted: Collection[Key] = ()
    """Nodes that are built even if no row ends in them."""
    needed_by: Mapping[Key, tuple[str, ...]] | None = field(repr=False, default=None)
    """What `rows_by_node` returns, where other rows than these count too."""

    @property
    def ends(self) -> tuple[Key, ...]:
        """The nodes for which everything else is built."""
        return tuple(dict.fromkeys((*self.final_nodes.values(), *self.wanted)))

    def restricted(self, wanted: Collection[Key]) -> "Dag":
        """Return the DAG of some nodes and all that they need. Only rows that end in one of them are built."""
        import networkx as nx

        keys = {*wanted}.union(*(nx.ancestors(self.shape, key) for key in wanted))
        final_nodes = {name: key for name, key in self.final_nodes.items() if key in wanted}
        return replace(
            self,
            nodes={key: node for key, node in self.nodes.items() if key in keys},
            final_nodes=final_nodes,
            rows={name: self.rows[name] for name in final_nodes},
            tools={key: able for key, able in self.tools.items() if key in keys},
            shape=self.shape.subgraph(keys),
            wanted=wanted,
            needed_by={key: rows for key, rows in self.rows_by_node().items() if key in keys},
        )

    def order(self) -> Iterator[Node]:
        """Yield every node, parents first; the same for the same rows, whatever their order in the file."""
        import networkx as nx

        return (self.nodes[key] for key in nx.topological_sort(self.shape))

    def needed(self, present: Collection[Key], kept: Collection[Key] = ()) -> NeededNodes:
        """Return what must be built: missing nodes on which something missing and wanted is built.

        A reused leaf needs none of its ancestors. `present` are the nodes that the engine has, `kept` those in the
        registry. Files of a package layer are installed by the parent of a node that is to link them, one that is there
        before one that is built anyway.
        """
        missing: set[Key] = set()
        files: list[Key] = []
        self._add_missing(self.ends, present, kept, missing, files)
        linking = [self.nodes[key] for key in missing]
        parents = {(node.packages, node.parent) for node in linking if node.packages}
        tools: dict[Key, Key] = {}
        for key in files:  # grows where a tool links a package layer itself
            able = self.tools[key]
            best = [tool for tool in able if (key, tool) in parents] or able
            tools[key] = next((tool for where in (present, kept) for tool in best if tool in where), best[0])
            self._add_missing([tools[key]], present, kept, missing, files)
        return NeededNodes(keys=missing, tools=tools)

    def rows_by_node(self) -> Mapping[Key, tuple[str, ...]]:
        """Return for each node the names of the rows that need it, sorted."""
        if self.needed_by is not None:
            return self.needed_by
        rows: dict[Key, list[str]] = {key: [] for key in self.nodes}
        for name, tip in self.final_nodes.items():
            for node in self.of_row(tip):
                rows[node.key].append(name)
        return {key: tuple(names) for key, names in rows.items()}

    def parents(self, key: Key) -> tuple[Key, ...]:
        """Return the nodes that a build of this one from nothing reads; of those that can install files, the first."""
        node = self.nodes[key]
        return tuple(filter(None, (node.parent, node.packages, *self.tools.get(key, ())[:1])))

    def of_row(self, final: Key) -> Iterator[Node]:
        """Yield the nodes that a row consists of, last to first: package layers after the node that links them."""
        key: Key | None = final
        while key is not None:
            node = self.nodes[key]
            yield node
            if node.packages:
                yield self.nodes[node.packages]
            key = node.parent

    def _add_missing(
        self,
        final: Iterable[Key],
        present: Collection[Key],
        kept: Collection[Key],
        missing: set[Key],
        files: list[Key],
    ) -> None:
        for tip in final:
            key: Key | None = tip
            while key is not None and key not in present and key not in kept and key not in missing:
                missing.add(key)
                if key in self.tools:
                    files.append(key)
                linked = self.nodes[key].packages
                if linked:
                    self._add_missing([linked], present, kept, missing, files)
                key = self.nodes[key].parent


def build(chains: Mapping[str, tuple[Node, ...]]) -> Dag:
    """Join the nodes of rows (row name -> its nodes, first to last) where they share them."""
    import networkx as nx

    ordered = {name: chains[name] for name in sorted(chains)}
    nodes = {node.key: node for chain in ordered.values() for node in chain}
    shape: Digraph = nx.DiGraph()
    shape.add_nodes_from(nodes)
    shape.add_edges_from((node.parent, node.key) for node in nodes.values() if node.parent)
    shape.add_edges_from((node.packages, node.key) for node in nodes.values() if node.packages)
    tools = _tools(ordered.values(), lowest=False)
    if not nx.is_directed_acyclic_graph(nx.DiGraph([*shape.edges, *_edges(tools)])):
        # Two families have the same package layers in another order: neither can wait for the other's.
        tools = _tools(ordered.values(), lowest=True)
    shape.add_edges_from(_edges(tools))
    final_nodes = {name: chain[-1].key for name, chain in ordered.items()}
    rows = {name: chain[-1].leaf.row for name, chain in ordered.items()}
    return Dag(nodes=nodes, final_nodes=final_nodes, rows=rows, tools=tools, shape=nx.freeze(shape))


def _tools(chains: Iterable[tuple[Node, ...]], *, lowest: bool) -> Mapping[Key, tuple[Key, ...]]:
    """Return which nodes install the files of package layers; those of the first row come first.

    The parent of the node that links them is best, which is then made of their image without a copy; the lowest that
    has the Python is built on no package layer.
    """
    able: dict[Key, dict[Key, None]] = {}
    for chain in chains:
        for node in chain:
            linked = node.stage.packages
            if node.packages and linked and linked.tool:
                wanted = linked.tool.environment if lowest else linked.tool.stage
                able.setdefault(node.packages, {})[next(each.key for each in chain if each.layer == wanted)] = None
    return {files: tuple(tools) for files, tools in able.items()}


def _edges(tools: Mapping[Key, tuple[Key, ...]]) -> list[tuple[Key, Key]]:
    return [(tool, files) for files, able in tools.items() for tool in able]
