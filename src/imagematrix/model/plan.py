"""What is to be built: nodes, steps, a plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from imagematrix.model.leaf import Leaf, Stage
from imagematrix.model.matrix import Row

Key = NewType("Key", str)
"""Hash of everything a node is made from, 64 hex digits, known before anything is built."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A vertex of the DAG: a stage on its parent, or the files of a package layer. Rows of the same bytes share it."""

    key: Key
    layer: str
    parent: Key | None
    packages: Key | None = None
    """The files of the package layer that it links."""
    stage: Stage
    leaf: Leaf
    """One of the leaves that contain it: where its Dockerfile and its name come from."""
    inputs: Mapping[str, str]
    """What the key is the hash of, by name: the recipe in a form that two versions can be compared in."""
    moving: str = ""
    """Of a node whose downloads may move: its name in matrix.lock, the same at each epoch."""

    @property
    def platform(self) -> str:
        """The Docker platform that it is for."""
        return self.leaf.row.platform


class Verdict(StrEnum):
    """What a plan does with a node."""

    BUILD = "build"
    PULL = "pull"
    """It is only in the registry, and something is built on it."""
    REUSE = "reuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node with its verdict and the reason."""

    node: Node
    verdict: Verdict
    reason: str
    leaves: tuple[str, ...]
    """`family:tag` of the rows that are built on this node, sorted."""
    digest: str = ""
    """Of a node that is pulled: the digest that it has in the registry."""
    tool: Key | None = None
    """Of files of a package layer that are built: the node that installs them."""
    give: Callable[[], str] = field(default=str, repr=False, compare=False)
    """Of a node that is built: computes `given`, which few of the steps of a big plan are asked for."""

    @property
    def given(self) -> str:
        """Of a node that is built: the hash of what the monorepo itself gave to its stage."""
        return self.give()

    @property
    def needs(self) -> tuple[Key, ...]:
        """The nodes that must exist before this one is built."""
        return tuple(filter(None, (self.node.parent, self.node.packages, self.tool)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in order, parents first, and the node each selected row ends in."""

    steps: tuple[Step, ...]
    final_nodes: Mapping[str, Key]
    """Row name -> key of its last node, sorted by name."""
    rows: Mapping[str, Row]
