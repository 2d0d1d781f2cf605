"""What travels between the coordinator and the machines: small, frozen, without secrets."""

from dataclasses import dataclass
from typing import Final

from imagematrix.model import Attempt, BuildJob, Key, Pushed
from imagematrix.planning.garbage import CleanupResult, EngineCleanup
from imagematrix.planning.reproducible import Difference

CHECKS: Final = "checks"
GPU: Final = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """A machine as it introduces itself."""

    name: str
    version: str
    """Of imagematrix there."""
    platform: str
    """The Docker platform of its engine."""
    emulates: tuple[str, ...] = ()
    """Docker platforms that it runs by emulation."""
    slots: int
    """How many nodes it builds at once."""
    labels: tuple[str, ...] = ()
    """What it can do: `CHECKS`, where pytest and testinfra are installed; `GPU`, where containers can be given one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteParent:
    """An image that a job is built on, as any machine can find it."""

    key: Key
    ids: tuple[str, ...]
    """The ids that engines may know it by: which one depends on the engine's image store."""
    digest: str
    """In the registry; empty: only the machine that made it has it."""
    bytes: int = 0
    """As the registry counts it, compressed; 0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A try at a node, for whichever machine gets it."""

    job: BuildJob
    repository: str
    """The node cache."""
    compression: str
    """How filesystem layers are compressed there: gzip, or zstd."""
    parents: tuple[RemoteParent, ...]
    replaces: str = ""
    """The digest of what the registry has and is not the node: it is built and pushed all the same."""
    is_shared: bool
    """Nodes wait for its push, which goes before those that nobody waits for."""
    compared: RemoteParent | None = None
    """What the node held so far: what is built is compared with it, and pushed only where it differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteChecks:
    """The checks of one image, for whichever machine gets them."""

    repository: str
    """The node cache."""
    compression: str
    image: RemoteParent
    kit: bytes
    """What all checks of the project need, as `verify.remote` packs it."""
    task: bytes
    """What these need, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteResult:
    """How a try ended on a machine."""

    attempt: Attempt
    machine: str
    slot: int
    """Which of its own worker slots it had, from 0."""
    pushed: Pushed | None = None
    """Of a node that the registry had already, which counts as pushed; other pushes are reported as they end."""
    size: int = 0
    """The bytes of the image on the engine, with everything below it."""
    checked: bytes = b""
    """What checks found, as `verify.remote` reads it; empty: none ran to their end."""
    is_same: bool = False
    """What was built to be compared holds what the node held so far, and was removed."""
    difference: Difference | None = None
    """What differs of it first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentJob:
    """A packed job on its way to a machine."""

    machine: str
    task: str
    """Tells this try from all others."""
    version: str
    """Of imagematrix at the coordinator."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBegan:
    """A machine begins a job."""

    task: str
    key: Key
    machine: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPrinted:
    """Lines that a job printed."""

    key: Key
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWaits:
    """A job waits for a cache that another one uses; with an empty name it no longer does."""

    key: Key
    cache: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPushed:
    """A push beside the builds has ended."""

    machine: str
    pushed: Pushed


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded:
    """A try has ended on its machine."""

    task: str
    result: RemoteResult


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLost:
    """A try never reached its machine, which had gone."""

    task: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineJoined:
    """A machine takes jobs, from now on or again."""

    facts: MachineFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLeft:
    """A machine takes no more jobs."""

    name: str
    why: str
    ends_jobs: bool
    """Those that it has will not end, or nobody will hear of it."""
    is_gone: bool = False
    """Its connection ended: when it joins again, it has none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthQuestion:
    """Asks a machine for what a build needs there."""

    repository: str
    """The node cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHealth:
    """What a machine says of itself."""

    name: str
    engine: str = ""
    """Its version, and that of buildx."""
    free: int | None = None
    """Bytes on the disk of the engine; None: it is not on that machine, or not known."""
    faults: tuple[str, ...] = ()
    """Why it cannot build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesQuestion:
    """Asks a machine which images of nodes its engine has."""

    images: tuple[RemoteParent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImages:
    """The nodes, of those asked for, whose images an engine has."""

    keys: frozenset[Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Why a machine cannot answer a question."""

    why: str


Question = HealthQuestion | EngineCleanup | ImagesQuestion
Answer = MachineHealth | CleanupResult | HeldImages | NoAnswer
JobNews = JobBegan | JobPrinted | JobWaits | JobPushed
TryNews = JobEnded | JobLost
MachineNews = MachineJoined | MachineLeft
