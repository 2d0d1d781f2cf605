"""What a machine answers: to `doctor` how it is, to `gc` what its engine is rid of, to a build which images it has."""

import shutil
from collections.abc import Set as AbstractSet
from contextlib import suppress

from imagematrix import cleanup
from imagematrix.cluster.messages import (
    Answer,
    HealthQuestion,
    HeldImages,
    ImagesQuestion,
    MachineHealth,
    NoAnswer,
    Question,
)
from imagematrix.engine import builder, buildx_command, connect
from imagematrix.errors import NoEngineError, RegistryError
from imagematrix.model import Site
from imagematrix.planning.garbage import EngineCleanup
from imagematrix.registry import Client
from imagematrix.shell import Shell


def answer(question: Question, name: str, where: Site) -> Answer:
    """Answer as this machine, whose site is `where`."""
    try:
        match question:
            case HealthQuestion():
                return _health(question, name, where)
            case EngineCleanup():
                return cleanup.clean(connect(), question)
            case ImagesQuestion():
                return held(question, {image.id for image in connect().images()})
    except NoEngineError as error:
        return NoAnswer(why=_first_line(error))


def held(question: ImagesQuestion, ids: AbstractSet[str]) -> HeldImages:
    """Return which images are among those of an engine, by their ids."""
    return HeldImages(keys=frozenset(each.key for each in question.images if not ids.isdisjoint(each.ids)))


def _health(question: HealthQuestion, name: str, where: Site) -> MachineHealth:
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
