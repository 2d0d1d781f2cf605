"""The gc command: what nothing needs any more, removed."""

from imagematrix.commands.command import command
from imagematrix.commands.options import Certificates, Everyones, File, GcDryRun, Keep, Registry, Site, Workers
from imagematrix.errors import FlagError


@command
def gc(
    *,
    dry_run: GcDryRun,
    keep: Keep,
    registry: Registry,
    all: Everyones,  # noqa: A002 - the flag's name
    workers: Workers,
    certificates: Certificates,
    site: Site,
    file: File,
) -> None:
    """Remove images, build cache and logs that neither the matrix nor the last nights need."""
    from imagematrix.commands import extras, request
    from imagematrix.commands.gc import run
    from imagematrix.commands.terminal import on_wait
    from imagematrix.report.console.gc import cleanups_text

    project = request.opened(file, site=site)
    if registry and not project.matrix.nodes:
        raise FlagError('--registry: the matrix does not set nodes = "host/path"')
    store = request.node_store(project) if registry else None
    options = run.GcOptions(nights=keep, dry=dry_run, everyones=all)
    engine, machines = None, None
    if address := request.cluster(project, workers):
        extras.require("cluster")
        from imagematrix.commands.gc.machines import cleaner

        machines = cleaner(project, address, certificates)
    else:
        engine = request.engine()
    print(cleanups_text(run.run(project, options, engine=engine, machines=machines, store=store, waiting=on_wait)))
