"""The list command: the rows and the state of each."""

from imagematrix.commands.command import command
from imagematrix.commands.options import File, Group, Json, Only


@command
def list_(*, only: Only, group: Group, json: Json, file: File) -> None:
    """List the rows of the matrix with their state: built, remote, stale, missing, or impossible with the reason."""
    from imagematrix.commands import request
    from imagematrix.report.console.list import rows_json, rows_text
    from imagematrix.row_state import states

    project = request.opened(file)
    store = request.node_store(project)
    in_registry = [store.keys] if store else []
    found = states(project, project.rows(request.selection(only, group)), request.images_or_none(), *in_registry)
    print(rows_json(found) if json else rows_text(found))
