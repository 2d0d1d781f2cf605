"""What people wrote under common/, and what is locked of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MATRIX: Final = "matrix.toml"
"""The matrix file that commands take where none is named. What it made carries no matrix's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A content that is too big to be held in memory, and stays on the disk."""

    path: str
    """Where it lies, from the root of the file system."""
    sha256: str
    """Its hash when it was found, in hexadecimal digits."""
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a leaf: path relative to the leaf (POSIX), its bytes, and whether it may be executed."""

    path: str
    content: bytes = b""
    executable: bool = False
    stored: Stored | None = None
    """Of a big file, whose `content` is empty: where its bytes are."""


class Downloads(StrEnum):
    """What a stage downloads, by what a later day may change."""

    NOTHING = "nothing"
    PINNED = "pinned"
    """Named by its hash: the same each day."""
    LOCKED = "locked"
    """Packages that an apt lock names."""
    MOVING = "moving"
    """Whatever is there on the day: the refresh epoch is part of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """matrix.lock: what external names resolved to, and the epochs of stages whose downloads may move."""

    epoch: str = ""
    """When everything that is not pinned was refreshed last."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Node whose downloads may move (`Node.moving`) -> the epoch at which a refresh found that its content changed."""
    epochs: Mapping[str, str] = field(default_factory=dict)
    """Layer -> the epoch that counts for its stages instead: it was refreshed since, alone."""
    bases: Mapping[str, str] = field(default_factory=dict)
    """Image reference -> digest (`sha256:…`)."""
    platforms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Image reference -> the Docker platforms, beside `linux/amd64`, that its digest was found to be for."""
    imagematrix: str = ""
    """The version that rendered all leaves last; empty: not known. It is in no key."""

    def epoch_of(self, layer: str, downloads: Downloads, moving: str = "") -> str:
        """Return the epoch of a node, by what it downloads; empty if none counts for it. `moving` as in `Node`."""
        if downloads in (Downloads.NOTHING, Downloads.PINNED):
            return ""
        return max(self.epochs.get(layer, self.epoch), self.moved.get(moving, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How big the Python packages of a layer or a row are, in bytes; what a system's packages add is not in it."""

    download: int = 0
    installed: int = 0
    """Estimated."""
    unknown: int = 0
    """Files of unknown size, which are not in the sums."""

    def __add__(self, other: "Size") -> "Size":
        return Size(
            download=self.download + other.download,
            installed=self.installed + other.installed,
            unknown=self.unknown + other.unknown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileLayer:
    """A whole Dockerfile of the monorepo, declared as a layer. Paths are relative to the matrix file."""

    file: str
    context: str
    """The folder that it copies from."""
    target: str = ""
    """The stage that is built; empty: the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSource:
    """A folder of `common/layers` as read: its template and the files that travel with it.

    Paths are relative to the project's root for `template_path`, to the layer's `files/` for `files`.
    """

    name: str
    template: str
    template_path: str
    files: tuple[File, ...] = ()
    leaf: tuple[File, ...] = ()
    """Templates of what stands beside the Dockerfiles of its rows, relative to its `leaf/`."""
    whole: DockerfileLayer | None = None
    """What it is declared as, if it is a whole Dockerfile: its template has stages of its own then."""
    context: tuple[File, ...] = ()
    """Of a whole Dockerfile: what it may copy, the paths already as in the leaf (`LAYER/…`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An environment variable that people give to containers."""

    name: str
    kind: str
    """What its value must be, in the monorepo's own words; `secret`: it is in no image and in no example's text."""
    default: str
    meaning: str
    kubectl: str
    """How `kubectl create secret` makes one of a secret; empty: people give it themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program that containers start and that people reach by a port: a folder of `common/services`."""

    name: str
    layers: tuple[str, ...]
    """Those that bring its program: images with one of them have it."""
    program: str
    port: int
    host_port: int
    """Where run examples publish it."""
    title: str
    """What it is, in the README's table of ports."""
    use: str
    """What people type or open, with {port} for the published one."""
    note: str
    ready: str
    """The path that answers over HTTP once it is ready; empty: it is ready when its port is open."""
    settings: tuple[Setting, ...]
    root: bool = False
    """Whether it needs root: images of another user do not have it."""
    files: tuple[File, ...] = ()
    """All but its declaration, their paths already as in the leaf (`services/NAME/…`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that leaves are made of, of the monorepo and of the package, read once."""

    layers: Mapping[str, LayerSource]
    bootstrap: File
    """The script that makes a base from a distribution's packages."""
    init: tuple[File, ...] = ()
    """Boot files, their paths already as in the leaf (`init/…`)."""
    leaf: tuple[File, ...] = ()
    """Templates of what stands beside every Dockerfile, relative to `common/leaf`; a layer's own go before them."""
    services: tuple[Service, ...] = ()
    """Sorted by port."""
    own: frozenset[str] = frozenset()
    """What of it the monorepo wrote: `layers/NAME`, `services/NAME`, `bootstrap.sh`, boot files as in the leaf."""
    folders: tuple[File, ...] = ()
    """Files of source folders, their paths already as in the leaf (`sources/NAME/…`)."""

    @property
    def shared(self) -> tuple[File, ...]:
        """The files that stages of any layer may copy, without those of source folders."""
        return (*self.init, *(file for service in self.services for file in service.files))

    def services_of(self, layers: Collection[str], *, as_root: bool = True) -> tuple[Service, ...]:
        """Return the services that images with some layers have, and which run as root or not."""
        brought = (service for service in self.services if not set(service.layers).isdisjoint(layers))
        return tuple(service for service in brought if as_root or not service.root)
