"""The lock command: requirements to versions with hashes, bases to digests, packages of apt to versions."""

from imagematrix.commands.command import command
from imagematrix.commands.options import Bases, File, Group, Only, Platforms, Site, Upgrade


@command
def lock(
    *, upgrade: Upgrade, bases: Bases, only: Only, group: Group, platform: Platforms, site: Site, file: File
) -> None:
    """Lock rows: their Python requirements to exact versions with hashes, their bases to digests, apt's packages."""
    from imagematrix.commands import request
    from imagematrix.commands.lock.everything import lock_rows
    from imagematrix.commands.terminal import echo

    with request.opened_to_write(file, site=site) as project:
        rows = request.possible_rows(project, request.selection(only, group, platform))
        where, repository = request.site_of(project), project.repository
        before = repository.locks(), repository.apt_locks()
        done = lock_rows(project, rows, where, upgrade=upgrade, only_bases=bases, say=echo)
        is_changed = before != (repository.locks(), repository.apt_locks())
    print(f"{done}\nnext: invoke render, then commit locks and leaves" if is_changed else done)
