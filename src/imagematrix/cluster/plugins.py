"""What runs inside Dask's scheduler and workers: news of machines, one coordinator at a time, and the way of jobs.

A job is a message to its machine, and its result one of its news. Tasks of Dask's would cost a message for each of
their states, and Dask would choose their machines before these have a worker slot for them.
"""

import asyncio
import pickle
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from imagematrix.cluster.library import dask
from imagematrix.cluster.messages import (
    JobEnded,
    JobLost,
    JobNews,
    MachineFacts,
    MachineJoined,
    MachineLeft,
    MachineNews,
)

dask()  # before it is imported: it reads our settings then

from distributed import SchedulerPlugin, WorkerPlugin  # noqa: E402

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

    from imagematrix.cluster.machine import BuildMachine

MACHINES: Final = "imagematrix-machines"
"""The topic of news of machines."""
NAME: Final = "imagematrix"
_BETWEEN_SECONDS: Final = 0.01
"""The least time between two messages of a machine: what happens meanwhile travels together, because a message is
dear and its size is not. Dask's own is a fifth of it."""


def topic(run: str) -> str:
    """Return the topic of the news of a run's jobs."""
    return f"imagematrix-run-{run}"


class ClusterPlugin(SchedulerPlugin):
    """Lets one coordinator build at a time, and stops its builds when it goes away."""

    name = NAME
    idempotent = True

    async def start(self, scheduler: "Scheduler") -> None:
        """Take the questions of coordinators, and pass on jobs and news."""
        self._scheduler = scheduler
        self._machines: dict[str, MachineFacts] = {}
        """By their addresses."""
        self._addresses: dict[str, str] = {}
        """Of machines, by their names."""
        self._away: dict[str, str] = {}
        """Machines that take no jobs now, and why."""
        self._holder: tuple[str, str, str] | None = None
        """The client that builds, its run, and what it calls itself."""
        scheduler.handlers.update(
            imagematrix_take=self._take,
            imagematrix_stop=self._stop_run,
            imagematrix_machines=self._list,
            imagematrix_ask=self._ask,
        )
        scheduler.stream_handlers.update(
            {
                "imagematrix-away": self._note_away,
                "imagematrix-jobs": self._pass_jobs,
                "imagematrix-news": self._pass_news,
            }
        )
        for address in scheduler.workers:
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: "Scheduler", worker: str) -> None:
        """Report a machine that joined; workers of others are not ours to use."""
        facts = scheduler.workers[worker].extra.get(NAME)
        if facts:
            self._machines[worker] = MachineFacts(**facts)
            self._addresses[self._machines[worker].name] = worker
            self._tell(MachineJoined(facts=self._machines[worker]))

    def remove_worker(self, scheduler: "Scheduler", worker: str, **_: object) -> None:  # noqa: ARG002
        """Report a machine that left."""
        facts = self._machines.pop(worker, None)
        self._away.pop(worker, None)
        if facts:
            self._addresses.pop(facts.name, None)
            why = "it left the cluster, or its connection broke"
            self._tell(MachineLeft(name=facts.name, why=why, ends_jobs=True, is_gone=True))

    def remove_client(self, scheduler: "Scheduler", client: str) -> None:
        """Stop the builds of a coordinator that went away. Dask never awaits an asynchronous method here."""
        if self._holder and self._holder[0] == client:
            run, self._holder = self._holder[1], None
            scheduler.loop.add_callback(self._stop_run, run)

    def _take(self, client: str, run: str, who: str) -> str:
        """Let a client build, unless another one does; return who that is."""
        if self._holder and self._holder[0] != client and self._holder[0] in self._scheduler.clients:
            return self._holder[2]
        self._holder = (client, run, who)
        return ""

    async def _stop_run(self, run: str) -> None:
        await self._scheduler.broadcast(msg={"op": "imagematrix_stop", "run": run}, on_error="ignore")

    async def _ask(self, version: str, data: bytes, seconds: float) -> dict[str, bytes]:
        """Ask all machines a question; return the answers that came in time, by the names of machines."""
        message = {"op": "imagematrix_ask", "version": version, "data": data}

        async def ask(address: str, name: str) -> tuple[str, bytes]:
            try:
                asked = self._scheduler.broadcast(msg=message, workers=[address], on_error="ignore")
                return name, next(iter((await asyncio.wait_for(asked, seconds)).values()), b"")
            except TimeoutError:
                return name, b""

        found = await asyncio.gather(*(ask(address, facts.name) for address, facts in self._machines.items()))
        return {name: answer for name, answer in found if answer}

    def _list(self) -> list[tuple[str, dict[str, Any], str]]:
        """Return all machines: address, facts, and why they take no jobs now, if they do not."""
        return [
            (address, {name: getattr(facts, name) for name in facts.__slots__}, self._away.get(address, ""))
            for address, facts in self._machines.items()
        ]

    def _pass_jobs(self, client: str, jobs: Sequence[tuple[str, str, str, bytes]]) -> None:
        """Pass jobs of the coordinator that builds on to their machines."""
        if not self._holder or self._holder[0] != client:
            return
        sent: dict[str, list[tuple[str, str, bytes]]] = defaultdict(list)
        lost = list[JobLost]()
        for machine, task, version, data in jobs:
            if address := self._addresses.get(machine):
                sent[address].append((task, version, data))
            else:
                lost.append(JobLost(task=task, machine=machine))
        for address, bundle in sent.items():
            message = {"op": "imagematrix-jobs", "run": self._holder[1], "jobs": bundle}
            self._scheduler.worker_send(address, message)
        if lost:
            self._pass_news("", self._holder[1], pickle.dumps(lost))

    def _pass_news(self, worker: str, run: str, news: bytes) -> None:  # noqa: ARG002
        """Pass news on to the coordinator that builds. Dask would keep what `log_event` is given."""
        if self._holder and self._holder[1] == run:
            event = {"op": "event", "topic": topic(run), "event": (0.0, news)}
            self._scheduler.client_send(self._holder[0], event)

    def _note_away(self, worker: str, why: str, ends_jobs: bool) -> None:
        facts = self._machines.get(worker)
        if facts and why:
            self._away[worker] = why
            self._tell(MachineLeft(name=facts.name, why=why, ends_jobs=ends_jobs))
        elif facts and self._away.pop(worker, None):
            self._tell(MachineJoined(facts=facts))

    def _tell(self, news: MachineNews) -> None:
        self._scheduler.log_event(MACHINES, pickle.dumps(news))


class MachinePlugin(WorkerPlugin):
    """Puts a machine into a Dask worker."""

    name = NAME

    def __init__(self, machine: "BuildMachine") -> None:
        self.machine = machine

    def setup(self, worker: "Worker") -> None:
        """Take jobs and the requests to stop, and send news of jobs."""
        worker.batched_stream.interval = _BETWEEN_SECONDS
        worker.handlers["imagematrix_stop"] = self._stop
        worker.handlers["imagematrix_ask"] = self._answer
        worker.stream_handlers["imagematrix-jobs"] = self._begin
        self.machine.listen(_Post(worker).send)

    def teardown(self, worker: "Worker") -> None:  # noqa: ARG002
        """Stop what still runs."""
        self.machine.close()

    def _begin(self, run: str, jobs: Sequence[tuple[str, str, bytes]]) -> None:
        for task, version, data in jobs:
            self.machine.begin(run, task, version, data)

    def _stop(self, run: str) -> None:
        self.machine.stop(run)

    async def _answer(self, version: str, data: bytes) -> bytes:
        return await asyncio.to_thread(self.machine.answer, version, data)


class _Post:
    """Sends what happens to the jobs of a machine, in bundles."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._bundles: dict[str, list[JobNews | JobEnded]] = {}
        self._lock = threading.Lock()

    def send(self, run: str, news: JobNews | JobEnded) -> None:
        """Send news of a run's job; may be called from any thread."""
        with self._lock:
            is_first = not self._bundles
            self._bundles.setdefault(run, []).append(news)
        if is_first:
            self._worker.loop.add_callback(self._flush)

    def _flush(self) -> None:
        with self._lock:
            bundles, self._bundles = self._bundles, {}
        for run, news in bundles.items():
            self._worker.batched_send({"op": "imagematrix-news", "run": run, "news": pickle.dumps(news)})
