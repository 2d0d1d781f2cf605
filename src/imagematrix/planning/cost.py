"""The cost of one more row: which nodes it shares with which rows, which must be built, how much that downloads."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.model import Plan, Size, Verdict
from imagematrix.planning import sizes
from imagematrix.planning.addition import Addition
from imagematrix.planning.graph import Dag


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """A node of the row."""

    layer: str
    shared: tuple[str, ...]
    """The other rows that are built on it, sorted."""
    build: bool
    """It does not exist, and the row needs it."""
    size: Size
    """That of its Python packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A row that was added, or would be, with everything that belongs to it."""

    addition: Addition
    file: str
    """The matrix file."""
    nodes: tuple[NodeCost, ...]
    """First to last."""
    locks: int
    """How many locks are new."""
    unread: tuple[str, ...]
    """Rows that cannot be rendered as they are: what is shared with them is not known."""
    has_engine: bool
    """Otherwise it is unknown what is built already."""
    dry: bool
    """Nothing was written."""

    @property
    def download(self) -> Size:
        """The Python packages that building it downloads."""
        return sizes.total(node.size for node in self.nodes if node.build)

    @property
    def image(self) -> Size:
        """The Python packages of the whole image."""
        return sizes.total(node.size for node in self.nodes)


def nodes(row: str, *, everything: Dag, plan: Plan, predicted: Mapping[str, Size]) -> tuple[NodeCost, ...]:
    """Return the nodes of a row, first to last.

    `everything` has all rows, the plan is for this one; `predicted` are the sizes of its layers, where one is known.
    """
    rows_by_node = everything.rows_by_node()
    to_build = {step.node.key for step in plan.steps if step.verdict is Verdict.BUILD}
    found = [
        NodeCost(
            layer=node.layer,
            shared=tuple(name for name in rows_by_node[node.key] if name != row),
            build=node.key in to_build,
            size=predicted.get(node.stage.installs, Size()),
        )
        for node in everything.of_row(everything.final_nodes[row])
    ]
    return tuple(reversed(found))
