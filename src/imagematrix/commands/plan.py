"""The plan command: what a build would do, and why."""

import sys

from imagematrix.commands.command import command
from imagematrix.commands.options import BUILD_JOBS, AllRows, File, Group, Json, Only, Platforms, ShowAll, Why


@command
def plan(
    *,
    matrix: AllRows,
    only: Only,
    group: Group,
    platform: Platforms,
    why: Why,
    all: ShowAll,  # noqa: A002
    json: Json,
    file: File,
) -> None:
    """Show what a build would do: each node with its verdict, its reason and the leaves that need it."""
    from imagematrix.commands import leaves, request
    from imagematrix.commands.terminal import note
    from imagematrix.planning import forecast
    from imagematrix.report.console import terminal
    from imagematrix.report.console.plan import explanation, plan_json, plan_text

    project = request.opened(file)
    if leaves.is_upgraded(project):
        rows = project.possible(project.rows(request.selection(only, group, platform)))
        for line in leaves.upgrade(project, project.files(project.leaves(rows))):
            note(line)
    made = request.plan(project, request.selection(only, group, platform))
    if why:
        print(explanation(made, why))
        return
    sizes = project.node_sizes(made)
    seconds = forecast.whole(made.steps, project.seconds(made, sizes), jobs=BUILD_JOBS)
    if json:
        print(plan_json(made, sizes, seconds), end="")
    else:
        terminal.show(plan_text(made, sizes, seconds, whole=all).removesuffix("\n"), sys.stdout)
