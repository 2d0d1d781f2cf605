"""The gc command: what nothing needs any more, removed."""

from imagematrix.commands.command import command
from imagematrix.commands.options import Everyones, File, GcDryRun, Keep, Registry, Site, Workers
from imagematrix.errors import FlagError


@command
def gc(
    *,
    dry_run: GcDryRun,
    keep: Keep,
    registry: Registry,
    all: Everyones,  # noqa: A002 - the flag's name
    workers: Workers,
    site: Site,
    file: File,
) -> None:
    """Remove images, build cache and logs that neither the matrix nor the last nights need."""
    from imagematrix.commands import request
    from imagematrix.commands.gc import run
    from imagematrix.commands.terminal import on_wait
    from imagematrix.report.console.gc import cleanup_text

    project = request.opened(file, site=site)
    if registry and not project.matrix.nodes:
        raise FlagError('--registry: the matrix does not set nodes =  "host/path"')
    store = request.node_store(project) if registry else None
    options = run.GcOptions(nights=keep, dry=dry_run, everyones=all)
    engine = None if request.cluster(project, workers) else request.engine()
    print(cleanup_text(run.run(project, options, engine=engine, store=store, waiting=on_wait)))
