"""The verify command: images checked by running them."""

import functools
import sys

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import (
    AddedReport,
    AllRows,
    Certificates,
    Destination,
    File,
    Group,
    Only,
    Platforms,
    Site,
    VerifyJobs,
    Workers,
)
from imagematrix.errors import ExitCode, InterruptedRunError


@command
def verify(
    *,
    matrix: AllRows,
    only: Only,
    group: Group,
    platform: Platforms,
    destination: Destination,
    jobs: VerifyJobs,
    report: AddedReport,
    workers: Workers,
    certificates: Certificates,
    site: Site,
    file: File,
) -> None:
    """Check built images by running them; a passed check is not repeated while image and check stay the same."""
    from imagematrix.commands import extras, reporting, request

    extras.require("verify")
    from imagematrix.commands.terminal import echo
    from imagematrix.commands.verify import run
    from imagematrix.report.console.verify import listener, text

    selection, folder = request.explicit_selection("verify", matrix, only, group, platform), request.folder(report)
    project = request.opened_to_run(file, site=site)
    address = request.cluster(project, workers)
    rows = request.possible_rows(project, selection)  # wrong input is reported before an engine is needed
    store = request.node_store(project)
    signer, listen = request.signer_if_any(project, store), functools.partial(listener, sys.stdout)
    if address:
        extras.require("cluster")
        from imagematrix.commands.build.spread import link
        from imagematrix.commands.verify import spread

        connection = link(project, address, certificates)
        result = spread.run(
            project, rows, link=connection, store=store, signer=signer, destination=destination, listen=listen
        )
    else:
        result = run.run(
            project,
            rows,
            engine=request.engine(),
            store=store,
            signer=signer,
            jobs=jobs,
            destination=destination,
            listen=listen,
        )
    print(text(result.images, seconds=result.seconds), end="")
    complete = reporting.verified(project, result, folder, say=echo)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was checked is remembered; run the same command to continue")
    if result.lost:
        raise result.lost
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))
