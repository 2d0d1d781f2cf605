"""The coordinator's connection to a scheduler: connected again after it broke, with errors that say what to do."""

import asyncio
import itertools
import pickle
import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

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
    RemoteResult,
    Weight,
)
from imagematrix.cluster.outbox import Outbox, Task, Try
from imagematrix.errors import NoClusterError
from imagematrix.execution.parallel import CancelledError
from imagematrix.model import Key

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 10.0
_HEALTH_SECONDS: Final = 5.0
"""How long a machine may look at itself: `doctor` ends within ten seconds."""
_LOOK_SECONDS: Final = 1.0
"""How soon a waiting thread sees what nobody reports: that the connection broke."""
_CANCELLED: Final = (asyncio.CancelledError, CancelledError)
_TLS_WORDS: Final = ("ssl", "certificate", "tlsv1", "handshake")


class LostMachineError(Exception):
    """A machine, or the scheduler, went away while it had a job."""


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
        self.run = uuid.uuid4().hex
        self._number = itertools.count(1)
        self._to = to
        self._certificates = certificates
        self._who = who
        self._client: Client | None = None
        self._stream: object = None
        self._connecting = threading.Lock()
        self._tries: dict[str, Try] = {}
        self._jobs: Callable[[JobNews], None] = lambda _: None
        self._machines: Callable[[MachineNews], None] = lambda _: None

    @property
    def name(self) -> str:
        """The address of the scheduler."""
        return str(self._to)

    def try_of(self, key: Key) -> str:
        """Return a name for a try at a node, unlike those of all others of this run."""
        return f"{key[:12]}-{next(self._number)}"

    def connect(self) -> None:
        """Connect, if that is not so already, as the one coordinator. Raises NoClusterError."""
        with self._connecting:
            if self.is_up():
                return
            self.close()
            client = self._connected()
            try:
                self._join(client)
            except (NoClusterError, LostMachineError):
                client.close(timeout=2)
                raise
            self._outbox = Outbox(client, self.run)
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

    def listen(self, jobs: Callable[[JobNews], None], machines: Callable[[MachineNews], None]) -> None:
        """Hand news of this run's jobs and of machines to these from now on; they are called from one thread."""
        self._jobs, self._machines = jobs, machines

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

    def weigh(
        self, weights: Sequence[Weight], machines: Collection[str], *, seconds: float
    ) -> "Sequence[Future[Weight]]":
        """Note that each of some machines has images, so that tasks that depend on their weights are placed there.

        Raises LostMachineError.
        """
        client = self._open()
        try:
            found = client.scatter(
                [*weights], workers=[*machines], broadcast=len(machines) > 1, hash=False, timeout=seconds
            )
        except (Exception, *_CANCELLED) as error:  # noqa: BLE001  (Dask's own, of any type)
            raise LostMachineError(f"{' or '.join(machines)} went away: {error!r}") from None
        return cast("list[Future[Weight]]", found)

    def do(self, task: Task, *, lasts: Callable[[], bool]) -> RemoteResult:
        """Do a job on one of its machines; once `lasts` is false it is given up. Raises LostMachineError."""
        client = self._open()
        one = self._tries[task.name[-1]] = Try(task)
        try:
            self._outbox.send(one)
            while not one.ended.wait(_LOOK_SECONDS):
                if self._open() is not client:
                    raise LostMachineError(f"the connection to {self._to} broke")
                if one.is_lost() or not lasts():
                    raise LostMachineError("its machine went away")
            if one.result is None:
                raise LostMachineError(one.why)
            return one.result
        finally:
            self._tries.pop(task.name[-1], None)
            one.forget()

    def give_up(self, name: str, why: str) -> None:
        """Let a try end as lost, by the name of its task."""
        self._end(name, None, why)

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
        client.subscribe_topic(topic(self.run), lambda event: self._hear(_read(event)))
        client.subscribe_topic(MACHINES, lambda event: self._machines(_read(event)))

    def _hear(self, bundle: Sequence[JobNews | JobEnded | JobLost]) -> None:
        for news in bundle:
            match news:
                case JobEnded():
                    self._end(news.task, news.result, "")
                case JobLost():
                    self._end(news.task, None, news.why)
                case _:
                    self._jobs(news)

    def _end(self, name: str, result: RemoteResult | None, why: str) -> None:
        one = self._tries.get(name)
        if one:
            one.end(result, why)


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
