"""The report command: the page of the last run, or the one for the users of the images."""

from pathlib import Path

from imagematrix.commands.command import command
from imagematrix.commands.options import Catalogue, File, Merge, PageFolder


@command
def report(*, report: PageFolder, catalogue: Catalogue, merge: Merge, file: File) -> None:
    """Write the page of the last run again, or the page for users of the images."""
    from imagematrix.commands import extras, reporting, request
    from imagematrix.commands.terminal import echo

    extras.require("report")
    project, folder = request.opened_to_run(file), Path(report).absolute()
    if merge:
        print(reporting.merged(project, Path(merge), folder, say=echo))
        return
    write = reporting.catalogue if catalogue else reporting.again
    print(write(project, folder, say=echo))
