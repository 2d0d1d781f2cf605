"""The build command: what is missing, built in parallel."""

import functools
import sys

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import (
    AllRows,
    BuildJobs,
    BuildReport,
    Certificates,
    ExecutorName,
    FailFast,
    File,
    Fresh,
    Group,
    Only,
    OnlyNodes,
    Platforms,
    Push,
    PushJobs,
    Refresh,
    Retries,
    Site,
    TimeLimit,
    Workers,
)
from imagematrix.errors import ExitCode, FlagError, InterruptedRunError


@command
def build(
    *,
    matrix: AllRows,
    only: Only,
    group: Group,
    platform: Platforms,
    only_nodes: OnlyNodes,
    jobs: BuildJobs,
    retries: Retries,
    time_limit: TimeLimit,
    fail_fast: FailFast,
    fresh: Fresh,
    refresh: Refresh,
    push: Push,
    push_jobs: PushJobs,
    report: BuildReport,
    workers: Workers,
    certificates: Certificates,
    executor: ExecutorName,
    site: Site,
    file: File,
) -> None:
    """Build missing images in parallel; what exists is reused, and a failure blocks only what is built on it."""
    from imagematrix import report as reports
    from imagematrix.commands import extras, reporting, request
    from imagematrix.commands.build import run
    from imagematrix.commands.build.decision import BuildOptions
    from imagematrix.commands.terminal import echo, on_wait
    from imagematrix.project import refuse_unrefreshable
    from imagematrix.report.console import push as console

    selection = request.explicit_selection("build", matrix or bool(only_nodes), only, group, platform)
    folder = request.folder(report)
    layers = tuple(name.strip() for name in fresh.split(",")) if isinstance(fresh, str) else ()
    if fresh and refresh:
        raise FlagError("--fresh downloads everything again that --refresh does: leave out one of them")
    project = request.opened_to_run(file, site=site)
    address = request.cluster(project, workers)
    if push and not (project.matrix.nodes or any(row.repositories for row in project.rows(selection))):
        raise FlagError(
            "--push: the matrix sets neither nodes nor registry\n"
            '    nodes = "host/path" keeps nodes for all machines, registry = "host/path" publishes the images'
        )
    rows = request.possible_rows(project, selection)  # wrong input is reported before an engine is needed
    refuse_unrefreshable(layers, project.leaves(rows))
    wrap = run.wrapper(project.extensions.executors, executor)
    options = BuildOptions(
        jobs=jobs,
        retries=retries,
        time_limit=time_limit * 60.0,
        fail_fast=fail_fast,
        fresh=bool(fresh),
        fresh_layers=layers,
        refresh=refresh if isinstance(refresh, str) else run.now() if refresh else "",
        push=push,
        push_jobs=push_jobs,
        only_nodes=tuple(only_nodes),
    )
    listen, store = functools.partial(reports.listener, sys.stdout), request.node_store(project)
    if address:
        if executor:
            raise FlagError(
                "--executor: the machines of a cluster do the jobs; leave out one of --executor and --workers"
            )
        extras.require("cluster")
        from imagematrix.commands.build import spread

        link = spread.link(project, address, certificates)
        result = spread.run(project, rows, options, link=link, store=store, listen=listen, waiting=on_wait)
    else:
        engine = request.engine()
        result = run.run(project, rows, options, engine=engine, store=store, wrap=wrap, listen=listen, waiting=on_wait)
    print(reports.summary(result.report, color=sys.stdout.isatty()), end="")
    if result.published:
        print(console.text(result.published, (), seconds=result.report.seconds), end="")
    complete = reporting.built(project, result.report, result.published, folder, say=echo)
    if result.interrupted:
        raise InterruptedRunError("interrupted: what was finished is kept; run the same command to continue")
    if result.lost:
        raise result.lost
    if not (result.good and complete):
        raise Exit("", code=int(ExitCode.FAILED))
