"""The list command: the rows and the state of each."""

import sys

from imagematrix.commands.command import command
from imagematrix.commands.options import File, Group, Json, Only, Platforms


@command
def list_(*, only: Only, group: Group, platform: Platforms, json: Json, file: File) -> None:
    """List the rows of the matrix with their state: built, remote, stale, missing, or impossible with the reason."""
    from imagematrix.commands import request
    from imagematrix.report.console import terminal
    from imagematrix.report.console.list import rows_json, rows_text
    from imagematrix.row_state import states

    project = request.opened(file)
    store = request.node_store(project)
    in_registry = [store.keys] if store else []
    rows, images = project.rows(request.selection(only, group, platform)), request.images_or_note()
    unknown = request.NOT_KNOWN if images is None else ""
    found = states(project, rows, images or (), *in_registry, unknown=unknown)
    if json:
        print(rows_json(found))
    else:
        terminal.show(rows_text(found), sys.stdout)
