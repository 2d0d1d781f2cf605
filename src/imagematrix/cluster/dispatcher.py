"""Sends jobs to machines that have a free worker slot, and waits for how they end."""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagematrix.cluster.link import Link, LostMachineError
from imagematrix.cluster.machines import Machines
from imagematrix.cluster.messages import (
    JobBegan,
    JobEnded,
    JobLost,
    JobNews,
    MachineJoined,
    MachineNews,
    RemoteResult,
    SentJob,
)
from imagematrix.errors import NoClusterError
from imagematrix.model import Key
from imagematrix.planning.dispatch import Dispatch

_BYTES_A_SECOND: Final = 100e6
"""How fast a machine is thought to pull an image: a network of 1 Gbit/s."""
_LOOK_SECONDS: Final = 1.0
"""How soon a waiting thread sees what nobody reports: that the connection broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job on its way."""

    name: str
    """Tells this try from all others."""
    key: Key
    version: str
    """Of imagematrix here."""
    data: bytes
    priority: float
    seconds: float
    """How long it is thought to take."""
    where: Callable[[], Collection[str]]
    """Return the machines that may do it, as things stand. If there are none, it is lost."""
    lacks: Callable[[str], float]
    """Return about how many bytes a machine must pull for it."""


@dataclass(slots=True)
class _Try:
    """A task, and what became of it."""

    task: Task
    session: object
    ended: threading.Event = field(default_factory=threading.Event)
    result: RemoteResult | None = None
    why: str = ""
    """Why it will not end."""
    sent_to: str = ""
    began_on: str = ""

    def end(self, result: RemoteResult | None, why: str) -> None:
        """Note how it ended; the first word counts."""
        if not self.ended.is_set():
            self.result, self.why = result, why
            self.ended.set()


class Dispatcher:
    """Does tasks on the machines of one run. Its methods may be called from any thread."""

    def __init__(
        self,
        link: Link,
        *,
        version: str,
        platforms: Collection[str],
        heard: Callable[[JobNews], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what hears of jobs, and of machines that came or went; machines must be of `version`."""
        self._link = link
        self._heard = heard
        self._changed = changed
        self.machines = Machines(version=version, platforms=platforms, changed=self._look_again)
        self._dispatch = Dispatch()
        self._tries: dict[str, _Try] = {}
        self._changes = 0
        """How often machines came or went."""
        self._lock = threading.Lock()

    def open(self) -> None:
        """Connect, and take the machines. Raises NoClusterError."""
        self._link.listen(self._hear_of_jobs, self._hear_of_machine, self._begin_anew)
        self._link.connect()
        self.machines.take(self._link)

    def answers(self) -> bool:
        """Whether a machine takes jobs, if need be after connecting again."""
        try:
            self._link.connect()
            self.machines.reset(each.facts for each in self._link.machines() if not each.away)
        except NoClusterError:
            return False
        return bool(self.machines.usable())

    def do(self, task: Task) -> RemoteResult:
        """Do a task on one of its machines. Raises LostMachineError."""
        one = _Try(task, self._link.session())
        with self._lock:
            self._tries[task.name] = one
            self._dispatch.add(task.name, (), priority=task.priority, seconds=task.seconds)
        self._place(one)
        self._send_out()
        try:
            while not one.ended.wait(_LOOK_SECONDS):
                if not self._link.lasts(one.session):
                    one.end(None, f"the connection to {self._link.name} broke")
        finally:
            with self._lock:
                self._tries.pop(task.name, None)
                self._dispatch.withdraw(task.name)
        if one.result is None:
            raise LostMachineError(one.why, began_on=one.began_on)
        return one.result

    def waiting(self) -> int:
        """Return how many tasks wait for a worker slot."""
        with self._lock:
            return len(self._dispatch.waiting())

    def give_up(self, why: str) -> None:
        """Let all tasks end as lost."""
        for one in self._all():
            one.end(None, why)
        self.machines.wake()

    def _all(self) -> Sequence[_Try]:
        with self._lock:
            return tuple(self._tries.values())

    def _place(self, one: _Try) -> None:
        """Decide where a task may go: again, if machines come or go meanwhile."""
        while True:
            changes, machines = self._changes, one.task.where()
            with self._lock:
                if changes == self._changes:
                    self._dispatch.move(one.task.name, machines)
                    break
        if not machines:
            one.end(None, "its machine went away")

    def _send_out(self) -> None:
        """Send what has a worker slot now."""
        with self._lock:
            given = [(self._tries[name], machine) for name, machine in self._dispatch.assign(self._pulls)]
            for one, machine in given:
                one.sent_to = machine
        for one, machine in given:
            task = one.task
            self._link.send(SentJob(machine=machine, task=task.name, version=task.version, data=task.data))

    def _pulls(self, name: str, machine: str) -> float:
        """Return about how many seconds a machine must pull for a task."""
        return self._tries[name].task.lacks(machine) / _BYTES_A_SECOND

    def _hear_of_jobs(self, bundle: Sequence[JobNews | JobEnded | JobLost]) -> None:
        for news in bundle:
            match news:
                case JobEnded():
                    self._end(news.task, news.result)
                case JobLost():
                    self.machines.left(news.machine)
                    self._end(news.task, None, f"{news.machine} went away")
                case JobBegan():
                    self._note_began(news)
                    self._heard(news)
                case _:
                    self._heard(news)
        self._send_out()

    def _note_began(self, news: JobBegan) -> None:
        with self._lock:
            one = self._tries.get(news.task)
            if one:
                one.began_on = news.machine

    def _end(self, name: str, result: RemoteResult | None, why: str = "") -> None:
        with self._lock:
            one = self._tries.get(name)
        if one and result and not result.attempt.ok and result.attempt.flake:  # before its worker slot is free
            self.machines.failed(one.task.key, result.machine, result.attempt.flake.kind)
        with self._lock:
            self._dispatch.done(name)
        if one:
            one.end(result, why)

    def _hear_of_machine(self, news: MachineNews) -> None:
        if isinstance(news, MachineJoined):
            self.machines.joined(news.facts)
            return
        self.machines.left(news.name)  # from here on nothing is sent there
        with self._lock:
            there = [one for one in self._tries.values() if one.sent_to == news.name]
            if news.is_gone:
                self._dispatch.forget(news.name)
        for one in there if news.ends_jobs else ():
            one.end(None, f"{news.name}: {news.why}")

    def _look_again(self) -> None:
        """Take it that machines came or went."""
        with self._lock:
            self._changes += 1
            self._dispatch.take_machines(self.machines.capacities())
            waiting = [self._tries[name] for name in self._dispatch.waiting()]
        for one in waiting:
            self._place(one)
        self._send_out()
        self._changed()

    def _begin_anew(self) -> None:
        """Take it that the connection is a new one: nobody knows what machines have of the one before."""
        with self._lock:
            self._dispatch = Dispatch()
            self._dispatch.take_machines(self.machines.capacities())
            tries = tuple(self._tries.values())
        for one in tries:
            one.end(None, f"the connection to {self._link.name} broke")
