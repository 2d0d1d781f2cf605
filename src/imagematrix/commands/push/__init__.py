"""The push command: images published in the registries of their rows."""

import time

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import AddedReport, AllRows, File, Group, Only, Platforms, PublishJobs, Site, Workers
from imagematrix.errors import ExitCode, InterruptedRunError


@command
def push(
    *,
    matrix: AllRows,
    only: Only,
    group: Group,
    platform: Platforms,
    jobs: PublishJobs,
    report: AddedReport,
    workers: Workers,
    site: Site,
    file: File,
) -> None:
    """Publish images in the registries of their rows: an immutable tag, then the moving tags of verified images."""
    from imagematrix.commands import reporting, request
    from imagematrix.commands.push import run
    from imagematrix.commands.terminal import echo
    from imagematrix.registry import Client
    from imagematrix.report.console.push import event, text

    selection, folder = request.explicit_selection("push", matrix, only, group, platform), request.folder(report)
    project = request.opened_to_run(file, site=site)
    rows = request.possible_rows(project, selection)  # wrong input is reported before an engine is needed
    begun = time.monotonic()
    result = run.run(
        project,
        rows,
        engine=None if request.cluster(project, workers) else request.engine,
        client=Client(request.site_of(project), tries=1),
        jobs=jobs,
        listen=lambda image: echo(event(image, seconds=time.monotonic() - begun)),
    )
    print(text(result.images, result.without_registry, seconds=result.seconds), end="")
    complete = reporting.published(project, result, folder, say=echo)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was pushed stays; run the same command to continue")
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))
