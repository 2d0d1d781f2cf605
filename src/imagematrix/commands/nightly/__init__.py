"""The nightly command: everything that a night is for, one stage after another."""

from pathlib import Path

from invoke import Exit

from imagematrix.commands.command import command
from imagematrix.commands.options import (
    Certificates,
    File,
    Group,
    Heartbeat,
    Keep,
    NightlyJobs,
    NightlyPush,
    NightlyReport,
    Only,
    Platforms,
    Resume,
    Site,
    Workers,
)


@command
def nightly(
    *,
    only: Only,
    group: Group,
    platform: Platforms,
    report: NightlyReport,
    keep: Keep,
    jobs: NightlyJobs,
    push: NightlyPush,
    resume: Resume,
    heartbeat: Heartbeat,
    workers: Workers,
    certificates: Certificates,
    site: Site,
    file: File,
) -> None:
    """Rebuild what moved upstream, verify, push, report and clean up, even if a stage fails.

    The run locks bases and apt packages again, builds all rows, verifies and publishes them, and removes
    images, build cache and logs that nothing needs. Each stage is also a command of its own. The next run resumes an
    interrupted one at its epoch. Two runs never overlap: the second ends with exit code 1.
    """
    from imagematrix import secrecy
    from imagematrix.commands import extras, request
    from imagematrix.commands.nightly import run
    from imagematrix.commands.terminal import echo
    from imagematrix.planning.nightly import NightlyOptions
    from imagematrix.report import heartbeat as monitor
    from imagematrix.report.console.nightly import nightly_text

    for extra in extras.EXTRAS:  # it reports and verifies at its end
        extras.require(extra)
    if heartbeat:
        secrecy.learn_hook(heartbeat)
        monitor.require_address(heartbeat)
    project, selection = request.opened(file, site=site), request.selection(only, group, platform)
    options = NightlyOptions(
        rows=(
            *(word for pattern in only for word in ("--only", pattern)),
            *(word for name in group for word in ("--group", name)),
            *(word for name in platform for word in ("--platform", name)),
        ),
        file=str(project.repository.matrix_file),
        site=site,
        nodes=push and bool(project.matrix.nodes),
        images=push and any(row.repositories for row in project.rows(selection)),
        report=str(Path(report).absolute() if report else project.repository.root / "report"),
        jobs=str(jobs or ""),
        keep=str(keep),
        workers=request.cluster(project, workers),
        certificates=certificates,
    )
    # Wrong input, and an engine or a cluster that does not answer, are reported before the night begins.
    project.leaves(request.possible_rows(project, selection))
    if options.workers:
        from imagematrix.cluster import status

        status.text(options.workers, certificates)
    else:
        request.engine()
    night = run.run(project.state, options, resume=resume, say=echo)
    print(nightly_text(night) if night else "no interrupted run to resume: nothing to do")
    if night and night.good and heartbeat and (went_wrong := monitor.call(heartbeat)):
        print(went_wrong)
    if night and not night.good:
        raise Exit("", code=night.code)
