"""The coordinator's connection to a scheduler: connected again after it broke, with errors that say what to do."""

import asyncio
import pickle
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from imagematrix.cluster import security as guard
from imagematrix.cluster.library import dask
from imagematrix.cluster.messages import JobNews, MachineFacts, MachineNews, RemoteResult, Weight
from imagematrix.errors import NoClusterError
from imagematrix.execution.parallel import CancelledError

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 10.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job on its way: what the scheduler must know of it."""

    name: tuple[str, str]
    """A layer, whose jobs take similar times, and what tells this try from all others."""
    version: str
    data: bytes
    machines: tuple[str, ...]
    """The machines that may do it."""
    priority: float
    weights: tuple["Future[Weight]", ...]


class Link:
    """A connection to a scheduler, for one run. Its methods may be called from any thread."""

    def __init__(self, to: guard.ClusterAddress, certificates: str, *, who: str) -> None:
        self.run = uuid.uuid4().hex
        self._to = to
        self._certificates = certificates
        self._who = who
        self._client: Client | None = None
        self._stream: object = None
        self._jobs: Callable[[JobNews], None] = lambda _: None
        self._machines: Callable[[MachineNews], None] = lambda _: None

    @property
    def name(self) -> str:
        """The address of the scheduler."""
        return str(self._to)

    def connect(self) -> None:
        """Connect, if that is not so already, as the one coordinator. Raises NoClusterError."""
        if not self.is_up():
            self.look()
            self._join(self._open())

    def look(self) -> None:
        """Connect without building anything. Raises NoClusterError."""
        self.close()
        distributed = dask()
        secure = guard.security(self._to, self._certificates)
        try:
            client = distributed.Client(
                str(self._to), security=secure, timeout=_CONNECT_SECONDS, set_as_default=False, name=NAME
            )
        except (OSError, TimeoutError, RuntimeError) as error:
            raise NoClusterError(_unreachable(self._to, error)) from None
        self._client, self._stream = client, client.scheduler_comm
        from imagematrix.cluster.plugins import ClusterPlugin

        client.register_plugin(ClusterPlugin())

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
        """Return the machines of the cluster."""
        found = self._ask("imagematrix_machines")
        return [ListedMachine(address=at, facts=MachineFacts(**facts), away=away) for at, facts, away in found]

    def stop(self) -> None:
        """Stop this run's jobs on all machines; nothing happens without a connection."""
        with suppress(LostMachineError, TimeoutError, OSError):
            self._ask("imagematrix_stop", run=self.run)

    def weigh(self, weight: Weight, machine: str) -> "Future[Weight]":
        """Note that a machine has an image, so that the tasks that depend on the weight are placed there.

        Raises LostMachineError.
        """
        client = self._open()
        try:
            found = client.scatter([weight], workers=[machine], hash=False)
        except (Exception, *_CANCELLED) as error:  # noqa: BLE001  (Dask's own, of any type)
            raise LostMachineError(f"{machine} went away: {error!r}") from None
        return cast("list[Future[Weight]]", found)[0]

    def do(self, task: Task, gone: asyncio.Event) -> RemoteResult:
        """Do a job on one of its machines. Raises LostMachineError, also when `gone` is set in the meantime."""
        distributed, client = dask(), self._open()
        from imagematrix.cluster.plugins import work

        future = client.submit(
            work,
            task.version,
            task.data,
            *task.weights,
            key=task.name,
            workers=list(task.machines),
            priority=task.priority,
            retries=0,
            pure=False,
        )
        try:
            return cast("RemoteResult", client.sync(_settled, client, future, gone))
        except distributed.KilledWorker as error:
            raise LostMachineError(f"the machine {error.last_worker.name} went away") from None
        except (Exception, *_CANCELLED) as error:  # noqa: BLE001  (Dask's own, of any type: `work` raises nothing)
            raise LostMachineError(f"the connection to its machine broke: {error!r}") from None
        finally:
            if not future.done() and client.status == "running":
                future.cancel()
            future.release()

    def soon(self, call: Callable[[], object]) -> None:
        """Call something in the connection's own thread."""
        client = self._client
        if client and client.loop and client.status != "closed":
            client.loop.add_callback(call)

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

        holder = self._ask("imagematrix_take", client=client.id, run=self.run, who=self._who)
        if holder:
            self.close()
            raise NoClusterError(
                f"{self._to} already builds for {holder}: a cluster builds one matrix at a time\n"
                "    wait until that run has ended, or stop it there with Ctrl-C"
            )
        client.subscribe_topic(topic(self.run), lambda event: self._jobs(_read(event)))
        client.subscribe_topic(MACHINES, lambda event: self._machines(_read(event)))

    def _ask(self, question: str, **words: str) -> Any:  # noqa: ANN401 - whatever the scheduler answers
        client = self._open()
        return client.sync(getattr(client.scheduler, question), callback_timeout=_ANSWER_SECONDS, **words)


NAME: Final = "imagematrix"


async def _settled(client: "Client", future: "Future[RemoteResult]", gone: asyncio.Event) -> RemoteResult:
    result = asyncio.ensure_future(cast("Any", client.gather(future, asynchronous=True)))
    leaving = asyncio.ensure_future(gone.wait())
    await asyncio.wait({result, leaving}, return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not result.done():
        result.cancel()
        raise LostMachineError("its machine went away")
    return cast("RemoteResult", result.result())


def _read(event: tuple[float, bytes]) -> Any:  # noqa: ANN401 - of any kind of news
    return pickle.loads(event[1])  # noqa: S301  (mutual TLS: only who may build sends)


def _unreachable(to: guard.ClusterAddress, error: Exception) -> str:
    reason = str(error.__cause__ or error)
    if any(word in reason.lower() for word in _TLS_WORDS):
        return (
            f"{to} and this machine do not trust each other: {reason}\n"
            "    all machines of a cluster need the same folder of certificates: copy it here from the scheduler's"
        )
    return (
        f"no scheduler answers at {to}: {reason}\n"
        f"    start one there with `imagematrix cluster start {to}`, or check the address and the firewall"
    )
