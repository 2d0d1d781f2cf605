"""The nouns of imagematrix, frozen: what every other module takes and returns (design.md 2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

Key = NewType("Key", str)
"""Hash of everything a node is made from, 64 hex digits, known before anything is built."""

BASE_LAYER = "base"
"""The layer name of the node that makes a bootstrapped base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a leaf: path relative to the leaf (POSIX), its bytes, and whether it may be executed."""

    path: str
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The external image a row starts from: pulled (`image`) or made from packages (`bootstrap`: a suite)."""

    name: str
    image: str = ""
    bootstrap: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An image line: an ordered list of layers, a tag pattern and the groups its rows belong to."""

    name: str
    layers: tuple[str, ...]
    tag: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image: a value for each axis, and everything that follows from those values."""

    family: Family
    base: Base
    tag: str
    axes: Mapping[str, str]
    """Axis -> value, in the order the family declares its axes."""
    values: Mapping[str, str]
    """What templates may use: the axes and all facts that follow from them."""
    image: str
    """The name it is built under: `[registry/]family:tag`."""

    @property
    def name(self) -> str:
        """`family:tag`, what patterns match and reports show."""
        return f"{self.family.name}:{self.tag}"

    @property
    def directory(self) -> str:
        """The leaf directory, relative to the project's root."""
        return f"images/{self.family.name}/{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where to fetch from: never part of a key, never in an image. Empty means: the engine's own default."""

    ca_bundle: str = ""
    """Path of a PEM file of trusted certificates."""
    index_url: str = ""
    """Python package index."""
    extra_index_urls: tuple[str, ...] = ()
    wheelhouse: str = ""
    """Path of a directory of wheels, mounted at build time."""
    network: str = ""
    """Network mode of build steps: `host`, `none` or empty."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Docker's predefined proxy build arguments, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What matrix.toml declares, proven well-formed: every row is possible to render."""

    rows: tuple[Row, ...]
    """Sorted by name."""
    bases: Mapping[str, Base]
    families: Mapping[str, Family]
    registry: str = ""
    platform: str = "linux/amd64"
    site: Site = field(default_factory=Site)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """matrix.lock: what external names resolved to, and the epoch of stages that install from the network."""

    epoch: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)
    """Base name -> digest (`sha256:…`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSource:
    """A folder of `common/layers` as read: its template and the files that travel with it.

    Paths are relative to the project's root for `template_path`, to the layer's `files/` for `files`.
    """

    name: str
    template: str
    template_path: str
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything people wrote under `common/`, read once."""

    layers: Mapping[str, LayerSource]
    init: tuple[File, ...] = ()
    """Boot files, their paths already as in the leaf (`init/…`)."""
    bootstrap: File | None = None
    """The script that makes a base from a distribution's packages."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """A layer rendered for some rows. The renderer makes one object per distinct content: identity is equality."""

    layer: str
    text: str
    """Its part of the Dockerfile, from its FROM line on (for a base made here: suite)."""
    inputs: tuple[File, ...]
    """Every file it copies or mounts, sorted by path."""
    network: bool
    """It installs from the network, so the refresh epoch is part of its key."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leaf:
    """One row rendered: the stages of its Dockerfile, first to last."""

    row: Row
    base_image: str
    """Default of the Dockerfile's BASE_IMAGE: the external image, or the name its bootstrap script gives."""
    bootstrap: Stage | None
    """How the base is made, when it is not pulled."""
    stages: tuple[Stage, ...]
    dockerfile: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A vertex of the DAG: a stage on its parents. Rows that render the same bytes share it."""

    key: Key
    layer: str
    parent: Key | None
    stage: Stage
    leaf: Leaf
    """One of the leaves that contain it: where its Dockerfile and its name come from."""
    inputs: Mapping[str, str]
    """What the key is the hash of, by name: the recipe in a form that two versions can be compared in."""


class Verdict(StrEnum):
    """What a plan does with a node."""

    BUILD = "build"
    REUSE = "reuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A node with what is to be done about it, and why."""

    node: Node
    verdict: Verdict
    reason: str
    leaves: tuple[str, ...]
    """`family:tag` of the rows that stand on this node, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in order, parents first, and the node each selected row ends in."""

    steps: tuple[Step, ...]
    tips: Mapping[str, Key]
    """Row name -> key of its last node, sorted by name."""
    rows: Mapping[str, Row]


class Status(StrEnum):
    """How a node or a leaf ended."""

    BUILT = "built"
    REUSED = "reused"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an executor says of one try at one node."""

    ok: bool
    transient: bool = False
    """It failed for a reason that may pass by itself: network, engine flake."""
    why: str = ""
    """The failure in one line."""
    tail: tuple[str, ...] = ()
    """Last lines of the step's output."""
    log: str = ""
    """Path of the node's full log, relative to the project's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a node ended."""

    key: Key
    status: Status
    seconds: float = 0.0
    attempts: int = 0
    started: float = 0.0
    """Seconds since the run began."""
    why: str = ""
    tail: tuple[str, ...] = ()
    log: str = ""
    blame: Key | None = None
    """For a skipped node: the node whose failure skipped it."""
