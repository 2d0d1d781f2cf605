"""What an executor is given: everything that it needs for one image, and nothing that it could base a decision on."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagematrix.model.plan import Key
from imagematrix.model.sources import File


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentImage:
    """The image of a node that another is built upon."""

    key: Key
    image: str
    """Its id, as the executor gave it when it made it, or as it was found; empty: unknown."""
    stage: str
    """The stage of the Dockerfile that it replaces; empty: it is what the first stage is built from."""
    repository: str
    """The repository that has it, or will, under its key: for a machine that does not have it. Empty: none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """The external image that a first stage is built from."""

    name: str
    """As the Dockerfile names it. A machine may pull it from a mirror."""
    digest: str
    """Empty: it is not locked, so that the name alone says which it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileBuild:
    """Build one stage of a Dockerfile."""

    dockerfile: str
    target: str
    files: tuple[File, ...]
    """All that the build may read beside the Dockerfile."""
    source: ParentImage | BaseImage
    arguments: Mapping[str, str]
    """Build arguments."""
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseBootstrap:
    """Make a base from a distribution's packages."""

    script: bytes
    suite: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePull:
    """Take an image over that a registry has."""

    repository: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """One node to be had. It holds no secret and no path of a machine's: these belong to the executor.

    The one exception is a file that is too big to be held in memory: `File.stored` says where this machine has it.
    """

    key: Key
    layer: str
    """Names the node in logs."""
    work: DockerfileBuild | BaseBootstrap | NodePull
    platform: str
    names: tuple[str, ...]
    """What else the image is called where the executor keeps it."""
    push_to: str
    """The repository that the node is to be pushed to; empty: to none. If this machine's engine has it, it is pushed
    during other builds; an executor whose images are not reachable from here pushes before the attempt ends."""
    seconds: float
    """How long an attempt may take."""
