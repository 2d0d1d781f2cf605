"""The processes of a cluster: a scheduler, and a worker on each machine. Each runs until it is stopped."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagematrix.cluster import security as guard
from imagematrix.cluster.library import dask
from imagematrix.cluster.machine import BuildMachine
from imagematrix.cluster.security import ClusterAddress
from imagematrix.errors import NoClusterError

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

_PING_SECONDS: Final = 2.0
"""How often a machine asks whether its engine and its disk are well."""
_AGAIN_SECONDS: Final = 3.0
"""How long a machine waits for a scheduler before it asks again."""
_LOOPBACK: Final = "127.0.0.1"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a machine takes no jobs."""

    why: str = ""
    """Empty: it takes some."""
    ends_jobs: bool = False
    """Those that it has will not end: its engine may answer nothing, and never say so."""


def schedule(to: ClusterAddress, certificates: str, *, say: Say) -> None:
    """Run a scheduler until SIGINT or SIGTERM. Raises NoClusterError if it cannot listen there."""
    dask()
    secure = guard.security(to, certificates)

    async def run(stop: asyncio.Event) -> None:
        from imagematrix.cluster.plugins import ClusterPlugin

        scheduler, plugin = dask_scheduler(to, secure), ClusterPlugin()
        try:
            async with scheduler:
                await scheduler.register_scheduler_plugin(plugin, name=plugin.name, idempotent=True)
                say(f"scheduler: listening on {to}")
                await stop.wait()
        except (OSError, RuntimeError) as error:
            cause = error.__cause__ if isinstance(error, RuntimeError) else error  # Dask wraps it when it starts
            if not isinstance(cause, OSError):
                raise
            hint = (
                f"`imagematrix cluster start {to.scheme}://HOST:PORT` names an address of this machine and a free port"
            )
            raise NoClusterError(f"cannot listen on {to}: {cause.strerror or cause}\n    {hint}") from None

    asyncio.run(_until_signal(run))


def join(
    to: ClusterAddress,
    certificates: str,
    machine: BuildMachine,
    *,
    folder: Path,
    trouble: Callable[[], Trouble],
    say: Say,
) -> None:
    """Let this machine do jobs until SIGINT or SIGTERM; it waits for a scheduler that is not there (yet, or again).

    It takes no jobs while there is `trouble`.
    """
    dask()

    async def run(stop: asyncio.Event) -> None:
        waits = False
        while not stop.is_set():
            secure = guard.security(to, certificates)  # anew each time: certificates may have been renewed
            try:
                await asyncio.to_thread(guard.reach, to, seconds=_AGAIN_SECONDS)
                async with dask_worker(str(to), secure, machine, folder) as worker:
                    say(f"{machine.facts.name}: takes jobs from {to}, {machine.facts.slots} at once")
                    waits = False
                    await _serve(worker, stop, trouble, say)
            except (OSError, TimeoutError, RuntimeError, ValueError) as error:
                if not waits:
                    said = (isinstance(error, OSError) and error.strerror) or error
                    say(f"{machine.facts.name}: no scheduler takes this machine at {to}: {said}; trying again")
                waits = True
            await _pause(stop, _AGAIN_SECONDS)

    asyncio.run(_until_signal(run))


def dask_scheduler(to: ClusterAddress, secure: object) -> "Scheduler":
    """Return a scheduler that is not started yet."""
    made: Scheduler = dask().Scheduler(
        host=to.host,
        port=to.port,
        protocol="tls" if to.secure else "tcp",
        security=secure,
        dashboard=False,
        dashboard_address=f"{_LOOPBACK}:0",  # Dask always serves HTTP, by default on all addresses
    )
    return made


def dask_worker(address: str, secure: object, machine: BuildMachine, folder: Path) -> "Worker":
    """Return a worker for a machine that is not started yet."""
    from imagematrix.cluster.plugins import NAME, MachinePlugin

    made: Worker = dask().Worker(
        address,
        name=machine.facts.name,
        nthreads=1,  # for tasks of Dask's, which there are none of
        memory_limit=0,
        security=secure,
        host=_address_towards(address) if secure else _LOOPBACK,
        dashboard=False,
        dashboard_address=f"{_LOOPBACK}:0",
        local_directory=str(folder),
        plugins=[MachinePlugin(machine)],
        death_timeout=_AGAIN_SECONDS * 3,
    )
    made.startup_information[NAME] = _facts(machine)
    return made


def _address_towards(address: str) -> str:
    """Return this machine's own address on the way to a scheduler: the other machines reach it there."""
    from distributed.utils import get_ip

    host, _, port = address.rpartition("://")[2].rpartition(":")
    return str(get_ip(host.strip("[]"), int(port)))


def _facts(machine: BuildMachine) -> Callable[["Worker"], Awaitable[dict[str, object]]]:
    async def facts(_: "Worker") -> dict[str, object]:
        return asdict(machine.facts)

    return facts


async def _serve(worker: "Worker", stop: asyncio.Event, trouble: Callable[[], Trouble], say: Say) -> None:
    """Serve until the connection ends; while there is trouble, take no jobs."""
    from distributed.core import Status

    while not stop.is_set() and worker.status not in {Status.closed, Status.closing, Status.failed}:
        found = await asyncio.to_thread(trouble)
        if bool(found.why) == (worker.status == Status.running):
            say(f"{worker.name}: " + (f"takes no jobs: {found.why}" if found.why else "takes jobs again"))
            turn(worker, found)
        await _pause(stop, _PING_SECONDS)


def turn(worker: "Worker", trouble: Trouble) -> None:
    """Stop sending jobs to a machine that is in trouble; without trouble, send jobs again."""
    from distributed.core import Status

    worker.batched_send({"op": "imagematrix-away", "why": trouble.why, "ends_jobs": trouble.ends_jobs})
    worker.status = Status.paused if trouble.why else Status.running


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _until_signal(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await run(stop)
