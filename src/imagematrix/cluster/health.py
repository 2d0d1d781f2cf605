"""What a machine says of itself when `doctor` asks: its engine, its disk, and its own way to the node cache."""

import shutil
from contextlib import suppress

from imagematrix.cluster.messages import HealthQuestion, MachineHealth
from imagematrix.engine import builder, buildx_command, connect
from imagematrix.errors import NoEngineError, RegistryError
from imagematrix.model import Site
from imagematrix.registry import Client
from imagematrix.shell import Shell


def examine(question: HealthQuestion, name: str, where: Site) -> MachineHealth:
    """Look at this machine, whose site is `where`."""
    engine, free, faults = "", None, list[str]()
    try:
        found = connect()
        engine = f"Docker {found.facts().version}, buildx {builder.buildx_version(Shell(), buildx_command(found))}"
        if folder := found.storage():
            with suppress(OSError):
                free = shutil.disk_usage(folder).free
    except NoEngineError as error:
        faults.append(_first_line(error))
    try:
        client = Client(where, tries=1)
        client.digest(question.repository, "latest")  # that there is none is an answer
    except RegistryError as error:
        faults.append(_first_line(error))
    return MachineHealth(name=name, engine=engine, free=free, faults=tuple(faults))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
