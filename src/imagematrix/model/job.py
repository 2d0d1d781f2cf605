"""What an executor gets for one node: all that it needs, and nothing to decide."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.model.plan import Key
from imagematrix.model.sources import File


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentImage:
    """The image of a node that a build reads: what it starts from, or the files that it links."""

    key: Key
    image: str
    """Its id: as the executor returned it, or as the engine listed it. Empty if it is not known."""
    stage: str
    """The stage of the Dockerfile that it replaces. Empty: it is the base of the first stage."""
    repository: str
    """Where a machine that lacks it can pull it, by its key as the tag. Empty if it is not pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An image from a registry that the first stage starts from."""

    name: str
    """The name in the Dockerfile. A machine may pull it from a mirror."""
    digest: str
    """Empty if it is not locked: the name is then all that is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileBuild:
    """Build one stage of a Dockerfile."""

    dockerfile: str
    target: str
    files: tuple[File, ...]
    """All files that the build can read, besides the Dockerfile."""
    source: ParentImage | BaseImage
    packages: ParentImage | None = None
    """The files of the package layer that the stage links. Their image is built on the one that installed them."""
    linking: str = ""
    """Of a stage that links: the Dockerfile to take if the files were installed on another image than `source`."""
    arguments: Mapping[str, str]
    """Build arguments."""
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBootstrap:
    """Make a base from a distribution's packages."""

    script: bytes
    suite: str
    packages: bytes = b""
    """The apt lock that its packages are compared with; empty: there is none."""
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePull:
    """Pull an image that a registry has."""

    repository: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """The work for one node. It holds no secrets and no paths of this machine: these belong to the executor.

    Files that are too big for memory are the exception: `File.stored` is a path on this machine.
    """

    key: Key
    layer: str
    """The name of the node in logs."""
    work: DockerfileBuild | BaseBootstrap | NodePull
    platform: str
    names: tuple[str, ...]
    """Further names that the executor gives the image."""
    push_to: str
    """The repository to push the node to; empty: none. `registry.publishing` pushes what this machine's engine built.
    An executor on other machines pushes before the attempt ends, because nothing else can reach its images."""
    seconds: float
    """The time limit of an attempt."""
