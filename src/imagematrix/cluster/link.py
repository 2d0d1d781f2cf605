"""The coordinator's connection to a scheduler: connected again after it broke, with errors that say what to do."""

import asyncio
import itertools
import pickle
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagematrix.cluster import security as guard
from imagematrix.cluster.library import dask
from imagematrix.cluster.messages import (
    Answer,
    JobEnded,
    JobLost,
    JobNews,
    MachineFacts,
    MachineNews,
    Question,
    SentJob,
)
from imagematrix.errors import NoClusterError
from imagematrix.execution.parallel import CancelledError
from imagematrix.model import Key

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 10.0
_HEALTH_SECONDS: Final = 5.0
"""How long a machine may look at itself: `doctor` ends within ten seconds."""
_CANCELLED: Final = (asyncio.CancelledError, CancelledError)
_TLS_WORDS: Final = ("ssl", "certificate", "tlsv1", "handshake")


class LostMachineError(Exception):
    """A machine, or the scheduler, went away while it had a job."""

    def __init__(self, why: str, *, began_on: str = "") -> None:
        super().__init__(why)
        self.began_on = began_on
        """The machine that had begun it; empty: none had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMachine:
    """A machine of a cluster, as its scheduler lists it."""

    address: str
    facts: MachineFacts
    away: str
    """Why it takes no jobs now; empty: it does."""


class Link:
    """A connection to a scheduler, for one run. Its methods may be called from any thread."""

    def __init__(self, to: guard.ClusterAddress, certificates: str, *, who: str) -> None:
        self.run = ""
        """Tells the jobs of this connection from all others."""
        self._to = to
        self._certificates = certificates
        self._who = who
        self._client: Client | None = None
        self._stream: object = None
        self._connecting = threading.Lock()
        self._number = itertools.count(1)
        self._outgoing: list[SentJob] = []
        self._sending = threading.Lock()
        self._jobs: Callable[[Sequence[JobNews | JobEnded | JobLost]], None] = lambda _: None
        self._machines: Callable[[MachineNews], None] = lambda _: None
        self._renewed: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        """The address of the scheduler."""
        return str(self._to)

    def try_of(self, key: Key) -> str:
        """Return a name for a try at a node, unlike those of all others."""
        return f"{key[:12]}-{next(self._number)}"

    def connect(self) -> None:
        """Connect, if that is not so already, as the one coordinator. Raises NoClusterError."""
        with self._connecting:
            if self.is_up():
                return
            self.close()
            client = self._connected()
            self.run = uuid.uuid4().hex  # machines were told to stop what was sent before
            try:
                self._join(client)
            except (NoClusterError, LostMachineError):
                client.close(timeout=2)
                raise
            with self._sending:
                self._outgoing = []
            self._renewed()
            self._stream, self._client = client.scheduler_comm, client  # by now it hears of everything

    def look(self) -> None:
        """Connect without building anything. Raises NoClusterError."""
        client = self._connected()
        self._stream, self._client = client.scheduler_comm, client

    def _connected(self) -> "Client":
        distributed = dask()
        secure = guard.security(self._to, self._certificates)
        try:
            guard.reach(self._to, seconds=_CONNECT_SECONDS)
            client: Client = distributed.Client(
                str(self._to), security=secure, timeout=_CONNECT_SECONDS, set_as_default=False, name=NAME
            )
        except (OSError, TimeoutError, RuntimeError) as error:
            raise NoClusterError(_unreachable(self._to, error)) from None
        from imagematrix.cluster.plugins import ClusterPlugin

        try:
            client.register_plugin(ClusterPlugin())
        except (OSError, TimeoutError, RuntimeError, *_CANCELLED) as error:  # it went away again
            client.close(timeout=2)
            raise NoClusterError(_unreachable(self._to, error)) from None
        return client

    def is_up(self) -> bool:
        """Whether the scheduler has been connected since `connect`.

        Dask connects again by itself, but then news have been missed, and another coordinator may have come.
        """
        client = self._client
        return client is not None and client.status == "running" and client.scheduler_comm is self._stream

    def listen(
        self,
        jobs: Callable[[Sequence[JobNews | JobEnded | JobLost]], None],
        machines: Callable[[MachineNews], None],
        renewed: Callable[[], None],
    ) -> None:
        """Hand news of this run's jobs and of machines to these from now on; they are called from one thread.

        `renewed` is called before a connection is used: nothing is heard any more of what was sent by the one before.
        """
        self._jobs, self._machines, self._renewed = jobs, machines, renewed

    def machines(self) -> Sequence[ListedMachine]:
        """Return the machines of the cluster. Raises NoClusterError."""
        try:
            found = _ask(self._open(), "imagematrix_machines")
        except LostMachineError as error:
            raise NoClusterError(f"{self._to}: {error}") from None
        return [ListedMachine(address=at, facts=MachineFacts(**facts), away=away) for at, facts, away in found]

    def ask(self, question: Question, version: str, *, seconds: float = _HEALTH_SECONDS) -> Mapping[str, Answer]:
        """Ask all machines of a version; return the answers that come in time, by machine. Raises NoClusterError."""
        words = {"version": version, "data": pickle.dumps(question), "seconds": seconds}
        try:
            found = _ask(self._open(), "imagematrix_ask", timeout=seconds + _ANSWER_SECONDS, **words)
        except LostMachineError as error:
            raise NoClusterError(f"{self._to}: {error}") from None
        return {name: pickle.loads(answer) for name, answer in found.items()}  # noqa: S301  (as in `_read`)

    def stop(self) -> None:
        """Stop this run's jobs on all machines; nothing happens without a connection."""
        with suppress(LostMachineError):
            _ask(self._open(), "imagematrix_stop", run=self.run)

    def session(self) -> object:
        """Return what tells this connection from one before or after. Raises LostMachineError without one."""
        return self._open()

    def lasts(self, session: object) -> bool:
        """Whether a connection is still the one that there is."""
        return self.is_up() and self._client is session

    def send(self, job: SentJob) -> None:
        """Send a job soon, together with those that follow at once: a message is dear, and its size is not."""
        client = self._client
        if client is None:
            return
        with self._sending:
            is_first = not self._outgoing
            self._outgoing.append(job)
        if is_first:
            loop: Any = client.loop
            loop.add_callback(self._flush, client.scheduler_comm)

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client:
            client.close(timeout=2)

    def _open(self) -> "Client":
        client = self._client
        if client is None or not self.is_up():
            raise LostMachineError(f"the connection to {self._to} broke")
        return client

    def _join(self, client: "Client") -> None:
        from imagematrix.cluster.plugins import MACHINES, topic

        holder = _ask(client, "imagematrix_take", client=client.id, run=self.run, who=self._who)
        if holder:
            raise NoClusterError(
                f"{self._to} already builds for {holder}: a cluster builds one matrix at a time\n"
                "    wait until that run has ended, or stop it there with Ctrl-C"
            )
        client.subscribe_topic(topic(self.run), lambda event: self._jobs(_read(event)))
        client.subscribe_topic(MACHINES, lambda event: self._machines(_read(event)))

    def _flush(self, stream: Any) -> None:  # noqa: ANN401 - Dask's, without types
        with self._sending:
            jobs, self._outgoing = self._outgoing, []
        message = {"op": "imagematrix-jobs", "jobs": [(job.machine, job.task, job.version, job.data) for job in jobs]}
        with suppress(OSError):  # the connection broke: who waits sees it
            stream.send(message)


NAME: Final = "imagematrix"


def _ask(client: "Client", question: str, /, *, timeout: float = _ANSWER_SECONDS, **words: object) -> Any:  # noqa: ANN401 - whatever the scheduler answers
    """Ask the plugin of the scheduler. Raises LostMachineError."""
    try:
        return client.sync(getattr(client.scheduler, question), callback_timeout=timeout, **words)
    except (TimeoutError, OSError, RuntimeError) as error:  # Dask's own are of these kinds
        raise LostMachineError(f"the scheduler does not answer: {error!r}") from None


def _read(event: tuple[float, bytes]) -> Any:  # noqa: ANN401 - of any kind of news
    return pickle.loads(event[1])  # noqa: S301  (mutual TLS: only who may build sends)


def _unreachable(to: guard.ClusterAddress, error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) else ""
    reason = str(error.__cause__ or said or error)
    if any(word in reason.lower() for word in _TLS_WORDS):
        return (
            f"{to} and this machine do not trust each other: {reason}\n"
            "    all machines of a cluster need the same folder of certificates: copy it here from the scheduler's"
        )
    return (
        f"no scheduler answers at {to}: {reason}\n"
        f"    start one there with `imagematrix cluster start {to}`, or check the address and the firewall"
    )
