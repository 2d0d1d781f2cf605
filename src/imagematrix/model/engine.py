"""What an engine says it has: images, and how they say which nodes they are; containers; build cache."""

from dataclasses import dataclass

from imagematrix.model.plan import Key

KEY_LABEL = "imagematrix.key"
LAYER_LABEL = "imagematrix.layer"
ROW_LABEL = "imagematrix.row"
TOOL_LABEL = "imagematrix.tool"
"""Of the files of a package layer: the id of the image that they were installed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """An image we built: its id (`sha256:…`), its size in bytes as the engine counts it, and all its names."""

    id: str
    key: Key
    bytes: int
    names: tuple[str, ...]
    row: str = ""
    """The row whose leaf it is, or is built on; empty if it is not the last node of a leaf."""


def node_ref(key: Key) -> str:
    """Return the name under which an engine keeps a node; named contexts accept no image ids, so each has one."""
    return f"imagematrix/node:{key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayers:
    """An image on the engine, ours or not: the ids of its filesystem layers, lowest first, and the bytes of all."""

    ids: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """A piece of BuildKit's cache. It carries no label: only its description says what made it."""

    id: str
    description: str
    bytes: int
    shared: bool
    """An image has the same bytes: removing it frees nothing."""
    in_use: bool
    created: float
    """Seconds since 1970, as all moments here. A piece is younger than those that it depends on."""
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckContainer:
    """A container that our checks started."""

    id: str
    name: str
    since: float
    """When it stopped; of one that runs, when it was made."""
    runs: bool
