"""Tasks on their way to the scheduler: they travel in bundles, because a message is dear and its size is not."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imagematrix.cluster.library import submitting
from imagematrix.cluster.messages import RemoteResult, Weight

if TYPE_CHECKING:
    from distributed import Client, Future

_BUNDLE_SECONDS: Final = 0.01
"""A task travels together with those that follow so soon after it."""
_LOST: Final = ("cancelled", "error", "lost")
"""How Dask calls a task that will not end: it was refused, for instance as what it depends on went away."""


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


@dataclass(slots=True)
class Try:
    """A task, and how it ended."""

    task: Task
    ended: threading.Event = field(default_factory=threading.Event)
    result: RemoteResult | None = None
    why: str = ""
    """Why it will not end."""
    future: "Future[None] | None" = None
    """What Dask knows it by, once it was sent."""

    def end(self, result: RemoteResult | None, why: str) -> None:
        """Note how it ended; the first word counts."""
        if not self.ended.is_set():
            self.result, self.why = result, why
            self.ended.set()

    def is_lost(self) -> bool:
        """Whether Dask has given it up."""
        return self.future is not None and self.future.status in _LOST

    def forget(self) -> None:
        """Let Dask forget it; what still waits or runs is cancelled."""
        self.end(None, "nobody waits for it")
        if not self.future:
            return
        if self.result is None and self.future.client.status == "running":
            self.future.cancel()
        self.future.release()


class Outbox:
    """Sends tasks by one connection."""

    def __init__(self, client: "Client", run: str) -> None:
        self._client = client
        self._loop: Any = client.loop
        self._run = run
        self._waiting: list[Try] = []
        self._lock = threading.Lock()

    def send(self, one: Try) -> None:
        """Send a task soon; may be called from any thread."""
        with self._lock:
            is_first = not self._waiting
            self._waiting.append(one)
        if is_first:
            self._loop.add_callback(self._loop.call_later, _BUNDLE_SECONDS, self._flush)

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        tries = [one for one in waiting if not one.ended.is_set()]
        if not tries:
            return
        try:
            self._submit(tries)
        except Exception as error:  # noqa: BLE001  (in Dask's loop: who waits for the tasks must hear of it)
            for one in tries:
                one.end(None, f"it could not be sent: {error!r}")

    def _submit(self, tries: list[Try]) -> None:
        from imagematrix.cluster.plugins import work

        tasks = [one.task for one in tries]
        priorities = {task.name: task.priority for task in tasks}
        machines = {task.name: task.machines for task in tasks}
        with submitting(priorities, machines):
            futures = self._client.map(
                work,
                [task.version for task in tasks],
                [self._run] * len(tasks),
                [task.name[-1] for task in tasks],
                [task.data for task in tasks],
                [task.weights for task in tasks],
                key=[task.name for task in tasks],
                pure=False,
                retries=0,
            )
        for one, future in zip(tries, futures, strict=True):
            one.future = future
            if one.ended.is_set():  # it was given up while it was sent
                one.forget()
