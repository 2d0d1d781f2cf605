"""The doctor command: every prerequisite of a build, checked."""

import sys

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import Certificates, File, Group, Json, Only, Platforms, Reproducible, Site, Workers
from imagematrix.errors import ExitCode


@command
def doctor(
    *,
    reproducible: Reproducible,
    only: Only,
    group: Group,
    platform: Platforms,
    workers: Workers,
    certificates: Certificates,
    site: Site,
    json: Json,
    file: File,
) -> None:
    """Check every prerequisite of a build: engine, buildx, disk, package index, registries, the matrix itself."""
    from imagematrix.commands import request
    from imagematrix.commands.doctor import reproduce, run
    from imagematrix.commands.terminal import note
    from imagematrix.report.console import terminal
    from imagematrix.report.console.doctor import comparison_text, good, health_json, health_text
    from imagematrix.repository import nearest_matrix

    if reproducible:
        project = request.opened(file, site=site)
        chosen = request.selection(only, group, platform)
        compared = reproduce.run(project, chosen, reproducible, engine=request.engine(), said=note)
        print(comparison_text(compared))
        if compared.difference:
            raise Exit("", code=int(ExitCode.FAILED))
        return
    selected, spread = request.selection(only, group, platform), (workers, certificates)
    found = run.run(file or nearest_matrix(), selected, site_name=site, spread=spread)
    if json:
        print(health_json(found))
    else:
        terminal.show(health_text(found), sys.stdout)
    if not good(found):
        raise Exit("", code=int(ExitCode.FAILED))
