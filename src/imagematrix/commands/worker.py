"""The worker command: this machine builds for a cluster."""

import functools
import shutil
from typing import TYPE_CHECKING

from imagematrix.commands.command import command
from imagematrix.commands.options import (
    Certificates,
    ClusterName,
    Emulate,
    File,
    FreeDisk,
    Scheduler,
    Site,
    WorkerJobs,
    WorkerPushJobs,
)
from imagematrix.text.formatting import size

if TYPE_CHECKING:
    from imagematrix.cluster.service import Trouble
    from imagematrix.engine import Engine


@command
def worker(
    *,
    address: Scheduler,
    jobs: WorkerJobs,
    push_jobs: WorkerPushJobs,
    free_disk: FreeDisk,
    emulate: Emulate,
    name: ClusterName,
    certificates: Certificates,
    site: Site,
    file: File,
) -> None:
    """Build for a cluster on this machine, until it is stopped: its engine does what `build --workers` sends."""
    import platform

    from imagematrix import __version__, scratch
    from imagematrix import site as sites
    from imagematrix.commands import extras, request
    from imagematrix.commands.terminal import echo
    from imagematrix.engine import connect
    from imagematrix.errors import FlagError
    from imagematrix.model import Site as SiteNoun

    extras.require("cluster")
    from imagematrix.cluster import answering, host, security, service
    from imagematrix.cluster.machine import BuildMachine
    from imagematrix.cluster.messages import CHECKS, GPU, MachineFacts
    from imagematrix.verify.remote import RemoteChecker

    if len(address) != 1:
        raise FlagError("name the scheduler: imagematrix worker tls://HOST:PORT")
    to = security.address(address[0])
    security.security(to, certificates)  # what is wrong with it is reported before anything starts
    if file or site:
        where = request.site_of(request.opened(file, site=site))
    else:
        where = sites.discover(SiteNoun(), root=request.here())
    engine = connect()
    facts = MachineFacts(
        name=name or platform.node(),
        version=__version__,
        platform=engine.facts().platform,
        emulates=tuple(emulate) or where.emulates,
        slots=jobs,
        labels=(*([CHECKS] * extras.has("verify")), *([GPU] * engine.has_gpus())),
    )
    with scratch.folder("worker") as folder:
        machine = BuildMachine(
            facts,
            lambda voice, compression: host.opened(voice, where, compression=compression, checker=RemoteChecker),
            pushes=push_jobs,
            answers=functools.partial(answering.answer, name=facts.name, where=where),
        )
        trouble = functools.partial(_trouble, engine, free_disk * 10**9)
        service.join(to, certificates, machine, folder=folder, trouble=trouble, say=echo)


def _trouble(engine: "Engine", least: int) -> "Trouble":
    """Return why this machine takes no jobs now, if there is a reason."""
    from imagematrix.cluster.service import Trouble

    if not engine.answers():
        return Trouble(why="its engine does not answer", ends_jobs=True)
    folder = engine.storage()
    free = shutil.disk_usage(folder).free if folder else least
    if free >= least:
        return Trouble()
    return Trouble(why=f"its disk has {size(free)} free, and {size(least)} must stay free (--free-disk)")
