"""The doctor command: every prerequisite of a build, checked."""

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import File, Group, Json, Only, Site
from imagematrix.errors import ExitCode


@command
def doctor(*, only: Only, group: Group, site: Site, json: Json, file: File) -> None:
    """Check every prerequisite of a build: engine, buildx, disk, package index, registries, the matrix itself."""
    from imagematrix.commands import request
    from imagematrix.commands.doctor import run
    from imagematrix.report.console.doctor import good, health_json, health_text
    from imagematrix.repository import nearest_matrix

    found = run.run(file or nearest_matrix(), request.selection(only, group), site_name=site)
    print(health_json(found) if json else health_text(found))
    if not good(found):
        raise Exit("", code=int(ExitCode.FAILED))
