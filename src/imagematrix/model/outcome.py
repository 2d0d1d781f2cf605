"""How nodes ended: attempts, retries, pushes."""

from dataclasses import dataclass
from enum import StrEnum

from imagematrix.model.plan import Key


class Status(StrEnum):
    """How a node or a leaf ended."""

    BUILT = "built"
    REUSED = "reused"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


class PushStatus(StrEnum):
    """How the push of a node ended."""

    PUSHED = "pushed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class FlakeKind(StrEnum):
    """What made a try fail that may succeed when it is repeated."""

    LIMIT = "limit"
    """A source limits the rate of requests (429)."""
    SERVER = "server"
    """A source's own fault (5xx)."""
    NETWORK = "network"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flake:
    """Why a failure is transient."""

    kind: FlakeKind
    source: str = ""
    """The host that flaked; empty: the output does not name it."""
    retry_after: float = 0.0
    """The source's Retry-After in seconds; 0: it sent none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an executor says of one try at one node."""

    ok: bool
    flake: Flake | None = None
    """It failed for a transient reason."""
    why: str = ""
    """The failure in one line."""
    tail: tuple[str, ...] = ()
    """Last lines of the step's output."""
    log: str = ""
    """Path of the node's full log, relative to the project's root."""
    waited: float = 0.0
    """Seconds in which it waited for a cache that another build used."""
    image: str = ""
    """The id of the image that it made."""
    drifted: tuple[str, ...] = ()
    """Packages that apt installed in another version than the apt lock names."""
    machine: str = ""
    """Where it ran, if not on this machine."""
    slot: int | None = None
    """Which worker slot of all machines it had there, from 0."""
    queued: float = 0.0
    """Seconds in which it waited for a machine, before it began."""
    seconds: float | None = None
    """What it took on its machine, without `waited`; None: as long as the executor was busy with it."""
    pulled: float = 0.0
    """How many of these seconds went by while it pulled what it is built on."""
    lost_source: bool = False
    """An image that it is built on was removed from the engine: no retry helps, a new plan builds that image again."""
    is_settled: bool = True
    """False of a success that can still be lost: somebody must wait until it cannot, and needs no worker slot for it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A try at a node, or at its push, that failed in passing, after which another followed."""

    number: int
    """Of the try that failed, from 1."""
    why: str
    flake: Flake
    wait_seconds: float
    """How long the next one was put off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What became of the push of a node."""

    key: Key
    name: str
    """What it is called in the registry."""
    status: PushStatus
    seconds: float = 0.0
    """With all tries and the waits between them."""
    attempts: int = 0
    retries: tuple[Retry, ...] = ()
    digest: str = ""
    """What the registry has of it, where that was found to be what was pushed."""
    why: str = ""
    """Why it failed."""
    machine: str = ""
    """Which machine of a cluster pushed it."""
    ended: float | None = None
    """When it ended there, on the clock of the run; None: it was pushed from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedMachine:
    """A machine of the cluster that a run had."""

    name: str
    slots: int
    """How many nodes it builds at once."""
    labels: tuple[str, ...] = ()
    faults: int = 0
    """How often it failed for its own reasons."""
    is_set_aside: bool = False
    """It failed so often that it got no more jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a node ended."""

    key: Key
    status: Status
    seconds: float = 0.0
    """What its tries took, without their waits."""
    waited: float = 0.0
    """Seconds in which they waited for a cache that another build used."""
    pulled: float = 0.0
    """Seconds in which they pulled what the node is built on."""
    attempts: int = 0
    retries: tuple[Retry, ...] = ()
    started: float | None = None
    """Seconds since the run began; None: it was not begun."""
    slot: int | None = None
    """Which of the run's `jobs` it took the place of, from 0; None: it was not begun."""
    machine: str = ""
    """Where its last try ran, if not on this machine."""
    why: str = ""
    tail: tuple[str, ...] = ()
    log: str = ""
    image: str = ""
    """The id of the image that was built or pulled."""
    drifted: tuple[str, ...] = ()
    """Packages that apt installed in another version than the apt lock names."""
    lost_source: bool = False
    """It failed because an image that it is built on was removed from the engine."""
    caused_by: Key | None = None
    """For a skipped node: the node whose failure skipped it."""
