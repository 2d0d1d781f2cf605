"""The import command: existing Dockerfiles become layers and rows."""

from imagematrix.commands.command import command
from imagematrix.commands.options import File, ImportDryRun, ImportFolders


@command
def import_(*, folders: ImportFolders, dry_run: ImportDryRun, file: File) -> None:
    """Draft layers, families and rows that build what existing Dockerfiles build: `invoke import DIR…`.

    Dockerfiles, build scripts with their variables, and docker-bake files are read. What several Dockerfiles begin with
    becomes one layer, build arguments become values of rows, and what cannot be taken apart stays a whole Dockerfile.
    Each difference is listed, and what cannot be read is named. Nothing is overwritten.
    """
    from imagematrix.commands.importing import run
    from imagematrix.errors import FlagError
    from imagematrix.report.console import importing as console

    if not folders:
        raise FlagError("import: name the folders that have the Dockerfiles: `invoke import DIR…`")
    done = run.run(folders, file=file, dry=dry_run)
    print(console.imported_text(done))
    run.refuse_incomplete(done)
