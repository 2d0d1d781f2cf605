"""The lock command: requirements to versions with hashes, bases to digests, packages of apt to versions."""

from collections.abc import Mapping

from imagematrix.commands.command import command
from imagematrix.commands.options import Bases, File, Group, Only, Site, Upgrade


@command
def lock(*, upgrade: Upgrade, bases: Bases, only: Only, group: Group, site: Site, file: File) -> None:
    """Lock rows: their Python requirements to exact versions with hashes, their bases to digests, apt's packages."""
    from imagematrix.apt import Apt
    from imagematrix.commands import request
    from imagematrix.commands.lock import apt, run
    from imagematrix.commands.lock import bases as digests
    from imagematrix.commands.terminal import echo
    from imagematrix.registry import BaseDigests, Client
    from imagematrix.resolver import Uv
    from imagematrix.shell import Shell

    with request.opened_to_write(file, site=site) as project:
        rows = request.possible_rows(project, request.selection(only, group))
        shell, where = Shell(), request.site_of(project)
        done = "" if bases else run.run(project, rows, resolver=Uv(shell, where), upgrade=upgrade, say=echo)
        digests.run(project, rows, registry=BaseDigests(Client(where, tries=1), where), upgrade=upgrade, say=echo)

        def packages(digests: Mapping[str, str]) -> Apt:
            script = project.repository.common.sources().bootstrap
            return Apt(shell, where, script=script, digests=digests, platform=project.matrix.platform)

        apt.run(project, rows, source=packages, upgrade=upgrade, say=echo)
    print(done or "bases are up to date")
