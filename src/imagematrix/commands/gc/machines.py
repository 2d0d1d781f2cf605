"""The gc command on many machines: the engine of each is cleaned up there."""

from collections.abc import Mapping
from typing import Final

from imagematrix import __version__
from imagematrix.cluster.messages import NoAnswer
from imagematrix.commands.build.spread import link
from imagematrix.commands.gc.run import Clean
from imagematrix.commands.terminal import warn
from imagematrix.planning.garbage import CleanupResult, EngineCleanup
from imagematrix.project import Project

_SECONDS: Final = 600.0
"""How long a machine may take."""


def cleaner(project: Project, address: str, certificates: str) -> Clean:
    """Return what cleans up a cluster. Raises NoClusterError, also while it builds: nothing is removed then."""

    def clean(wanted: EngineCleanup) -> Mapping[str, CleanupResult]:
        connection = link(project, address, certificates)
        try:
            if wanted.dry:
                connection.look()
            else:
                connection.connect()
            names = {machine.facts.name for machine in connection.machines()}
            answers = connection.ask(wanted, __version__, seconds=_SECONDS)
        finally:
            connection.close()
        for name in sorted(names):
            answer = answers.get(name, NoAnswer(why="it does not answer"))
            if isinstance(answer, NoAnswer):
                warn(f"{name} is not cleaned up: {answer.why}")
        return {name: answer for name, answer in answers.items() if isinstance(answer, CleanupResult)}

    return clean
