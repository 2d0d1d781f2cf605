"""All that the lock command locks: Python requirements, digests of bases, what apt installs."""

from collections.abc import Callable, Mapping, Sequence

from imagematrix.apt import Apt
from imagematrix.commands.lock import apt, run
from imagematrix.commands.lock import bases as digests
from imagematrix.model import Row, Site
from imagematrix.project import Project
from imagematrix.registry import BaseDigests, Client
from imagematrix.resolver import Uv
from imagematrix.shell import Shell


def lock_rows(
    project: Project,
    rows: Sequence[Row],
    where: Site,
    *,
    upgrade: bool = False,
    only_bases: bool = False,
    say: Callable[[str], None],
) -> str:
    """Lock some rows; return what came of it, in a line. Raises what `run.run` does."""
    shell = Shell()
    done = "" if only_bases else run.run(project, rows, resolver=Uv(shell, where), upgrade=upgrade, say=say)
    digests.run(project, rows, registry=BaseDigests(Client(where, tries=1), where), upgrade=upgrade, say=say)

    def packages(digests: Mapping[str, str]) -> Apt:
        script = project.repository.common.sources().bootstrap
        return Apt(shell, where, script=script, digests=digests)

    apt.run(project, rows, source=packages, upgrade=upgrade, say=say)
    return done or "bases are up to date"
