"""What runs inside Dask's scheduler and workers: news of machines, one coordinator at a time, and how jobs reach us.

Results travel as news, not as results of Dask's: the coordinator would have to fetch each from its machine, by way of
the scheduler, with five messages.
"""

import asyncio
import pickle
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from distributed import SchedulerPlugin, WorkerPlugin, get_worker

from imagematrix.cluster.library import BANDWIDTH
from imagematrix.cluster.messages import (
    JobEnded,
    JobLost,
    JobNews,
    MachineFacts,
    MachineJoined,
    MachineLeft,
    MachineNews,
)

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
        """Set what a scheduler that others started has otherwise, and take the questions of coordinators."""
        self._scheduler = scheduler
        self._machines: dict[str, MachineFacts] = {}
        self._away: dict[str, str] = {}
        """Machines that take no jobs now, and why."""
        self._holder: tuple[str, str, str] | None = None
        """The client that builds, its run, and what it calls itself."""
        scheduler.allowed_failures = 0
        scheduler.bandwidth = BANDWIDTH
        scheduler.rootish_tg_dependencies_threshold = 0
        scheduler.extensions["amm"].stop()
        scheduler.handlers.update(
            imagematrix_take=self._take,
            imagematrix_stop=self._stop_run,
            imagematrix_machines=self._list,
            imagematrix_ask=self._ask,
        )
        scheduler.stream_handlers["imagematrix-away"] = self._note_away
        for address in scheduler.workers:
            self.add_worker(scheduler, address)

    def add_worker(self, scheduler: "Scheduler", worker: str) -> None:
        """Report a machine that joined; workers of others are not ours to use."""
        facts = scheduler.workers[worker].extra.get(NAME)
        if facts:
            self._machines[worker] = MachineFacts(**facts)
            self._tell(MachineJoined(facts=self._machines[worker]))

    def remove_worker(self, scheduler: "Scheduler", worker: str, **_: object) -> None:  # noqa: ARG002
        """Report a machine that left."""
        facts = self._machines.pop(worker, None)
        self._away.pop(worker, None)
        if facts:
            why = "it left the cluster, or its connection broke"
            self._tell(MachineLeft(name=facts.name, why=why, ends_jobs=True))

    def transition(self, key: object, start: str, finish: str, *_: object, **how: Any) -> None:  # noqa: ANN401, ARG002
        """Report a try that will not end."""
        if finish == "erred" and self._holder:
            machine = self._machines.get(str(how.get("worker")))
            went_away = f"the machine {machine.name if machine else how.get('worker')} went away"
            lost = JobLost(task=task_name(key), why=how.get("exception_text") or went_away)
            self._scheduler.log_event(topic(self._holder[1]), pickle.dumps([lost]))

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
        """Take the requests to stop, and send news of jobs."""
        worker.batched_stream.interval = _BETWEEN_SECONDS
        worker.handlers["imagematrix_stop"] = self._stop
        worker.handlers["imagematrix_ask"] = self._answer
        self.post = _Post(worker)
        self.machine.listen(self.post.send)

    def teardown(self, worker: "Worker") -> None:  # noqa: ARG002
        """Stop what still runs."""
        self.machine.close()

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
            self._worker.log_event(topic(run), pickle.dumps(news))


def task_name(key: object) -> str:
    """Return what tells a try from all others: the last part of its key in Dask."""
    return str(key[-1]) if isinstance(key, Sequence) and not isinstance(key, str) and key else str(key)


def work(version: str, run: str, task: str, data: bytes, _weights: object) -> None:
    """Do a job on the machine that this runs on: the only function that is ever sent to a cluster."""
    plugin = cast("MachinePlugin", get_worker().plugins[NAME])
    plugin.post.send(run, JobEnded(task=task, result=plugin.machine.work(version, data)))
