"""What matrix.toml declares: rows, and what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagematrix.model.extension import NamingRule
from imagematrix.model.sources import DockerfileLayer

Place = tuple[str | int, ...]
"""A key path of matrix.toml, from the root: where something is written."""
LATEST = "-latest"
"""What is put to a row's tag to mean its newest image that was verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The external image a row starts from: pulled (`image`) or made from packages (`bootstrap`: a suite)."""

    name: str
    image: str = ""
    """As declared it may be a pattern over a row's values; that of a row is filled in."""
    bootstrap: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Mirror -> the registry that it mirrors, of all sites."""

    @property
    def upstream(self) -> str:
        """The image by its name in the registry that it comes from, where `image` names a mirror's copy."""
        copies = (
            f"{registry}/{self.image.removeprefix(mirror + '/')}"
            for mirror, registry in self.mirrors.items()
            if self.image.startswith(f"{mirror}/")
        )
        return next(copies, self.image)


RuleParameters = Mapping[str, int | tuple[str, ...]]
"""What matrix.toml says of a destination's rule: parameter -> bytes or globs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleParameter:
    """A key that a rule of destinations has in matrix.toml."""

    kind: str
    """`Size`: bytes, or `Globs`."""
    meaning: str
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDeclaration:
    """A rule of destinations as its module declares it."""

    meaning: str
    parameters: Mapping[str, RuleParameter]
    file: str
    text: str
    """The module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where images are used: the registry that holds them, and the rules for them."""

    name: str
    registries: tuple[str, ...] = ()
    """Patterns over a row's values; none: the matrix's own registries."""
    max_bytes: int = 0
    """How big an image may be, uncompressed; 0: not declared."""
    rules: Mapping[str, RuleParameters] = field(default_factory=dict)
    """What its review requires of an image: rules, each with its parameters."""
    gpus: tuple[str, ...] = ()
    """The GPUs it has, by architecture (`sm_90`); empty: not declared."""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An image line: an ordered list of layers, a tag pattern and the groups its rows belong to."""

    name: str
    layers: tuple[str, ...]
    tag: str
    groups: tuple[str, ...] = ()
    destination: Destination | None = None
    promises: tuple[str, ...] | None = None
    """Axes and facts whose minor version its moving tags never leave; None: its axes that are versions, and what
    follows from them of CUDA, Python and the frameworks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image: a value for each axis, and everything that follows from those values."""

    family: Family
    base: Base
    tag: str
    axes: Mapping[str, str]
    """Axis -> value, sorted by axis; always with the `base`."""
    values: Mapping[str, str]
    """What templates may use: the axes, and all facts that follow from them and from the destination.

    `gpus` are the GPUs that it must run on, as its row, its family or its destination says: `sm_80 sm_90`.
    """
    image: str
    """The name it is built under: `[registry/]family:tag`, in the first of its registries."""
    repositories: tuple[str, ...] = ()
    """Where it is published, `registry/family` of each of its registries; nowhere when it has none."""
    platform: str = "linux/amd64"
    """The Docker platform that it is built for."""
    variant: str = ""
    """Ends its tag, and the names of all that is made for its platform alone: `-arm64`; empty for the first platform of
    the matrix."""
    shares: tuple[str, ...] = ()
    """The platforms of the rows that are published together with it, as one index; empty: it is published alone."""
    allow: str = ""
    """Why it is built though upstream broke it."""
    impossible: str = ""
    """Why it is impossible: such a row is listed, and nothing else is done with it."""
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)
    """Axis -> where its value is written, when it came from a file."""
    origins: tuple[Mapping[str, Place], ...] = field(default=(), compare=False, repr=False)
    """Fact -> where it is written, by each axis it follows from and by the destination."""

    @property
    def architecture(self) -> str:
        """The processor that it is built for, in Docker's words."""
        return self.platform.split("/")[1]

    @property
    def published_tag(self) -> str:
        """Its tag in registries, which has no platform."""
        return self.tag.removesuffix(self.variant)

    @property
    def published_image(self) -> str:
        """The name that people run it by: in its first registry, else on the engine that built it."""
        return self.image.removesuffix(self.variant) if self.repositories else self.image

    @property
    def name(self) -> str:
        """`family:tag`, what patterns match and reports show."""
        return f"{self.family.name}:{self.tag}"

    @property
    def destination(self) -> Destination | None:
        """Where it is used; nothing: anywhere."""
        return self.family.destination

    @property
    def directory(self) -> str:
        """The leaf directory, relative to the project's root."""
        return f"images/{self.family.name}/{self.tag}"

    def place(self, name: str) -> Place:
        """Return where an axis or a fact of this row is written; of what it does not have, nothing."""
        if name in self.places:
            return self.places[name]
        return next((origin[name] for origin in self.origins if origin.get(name)), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where to fetch from: never part of a key, never in an image. Empty means: the engine's own default."""

    name: str = ""
    """That of `[sites.NAME]`; empty: `[site]`, which counts when none is chosen."""
    ca_bundle: str = ""
    """Path of a PEM file of trusted certificates."""
    index_url: str = ""
    """Python package index."""
    extra_index_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    """Hosts, each with its port if it has one, that are used without TLS or with an untrusted certificate."""
    wheelhouse: str = ""
    """Path of a directory of wheels, mounted at build time."""
    exclude_newer: str = ""
    """`lock` leaves out files of the index that are newer than this age (`7 days`) or moment; empty: none."""
    exclude_newer_package: Mapping[str, str] = field(default_factory=dict)
    """Package -> the age or moment that counts for it instead; empty: all its files count."""
    mirrors: Mapping[str, str] = field(default_factory=dict)
    """Registry -> where its images are pulled from instead, `host[:port]/path`."""
    network: str = ""
    """Network mode of build steps: `host`, `none` or empty."""
    workers: str = ""
    """The address of the scheduler whose machines build; empty: this machine does."""
    emulates: tuple[str, ...] = ()
    """Docker platforms that its engine runs by emulation."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Docker's predefined proxy build arguments, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How nodes in their registry are signed."""

    public: str
    """File of the public keys, relative to the matrix' folder: only what one of them signed is believed."""
    key: str = ""
    """File of the private key."""
    command: tuple[str, ...] = ()
    """Instead, a program that reads a text and prints its signature in base64, and its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What matrix.toml declares, proven well-formed."""

    rows: tuple[Row, ...]
    """Sorted by name; includes impossible rows."""
    bases: Mapping[str, Base]
    families: Mapping[str, Family]
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    rules: Mapping[str, RuleDeclaration] = field(default_factory=dict)
    """The rules that destinations may apply to images."""
    naming: Mapping[str, NamingRule] = field(default_factory=dict)
    """Rules of plugins for the names of repositories, by host."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Name -> a folder of the monorepo that stages may copy from, relative to the matrix file."""
    dockerfiles: Mapping[str, DockerfileLayer] = field(default_factory=dict)
    """Layer -> the whole Dockerfile that it is."""
    nodes: str = ""
    """The repository where nodes are kept, each under its key; empty: engines alone have them."""
    compression: str = "gzip"
    """How filesystem layers are compressed for registries: gzip, or zstd."""
    signing: Signing | None = None
    """None: nodes are not signed."""
    registries: tuple[str, ...] = ()
    """Patterns, for the families without a destination, or whose destination names none."""
    platforms: tuple[str, ...] = ("linux/amd64",)
    """The Docker platforms of families that name none. The names of what is made for the first have no suffix."""
    site: Site = field(default_factory=Site)
    sites: Mapping[str, Site] = field(default_factory=dict)
