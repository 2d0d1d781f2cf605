"""The graph command: a picture of the DAG."""

from pathlib import Path

from imagematrix.commands.command import command
from imagematrix.commands.options import AllRows, File, Group, Only, Picture, Platforms
from imagematrix.errors import FlagError


@command
def graph(*, matrix: AllRows, only: Only, group: Group, platform: Platforms, out: Picture, file: File) -> None:
    """Draw the layer DAG, its nodes coloured by what a build would do with them."""
    from imagematrix.commands import request
    from imagematrix.report.graph import FORMS

    draw = FORMS.get(Path(out).suffix)
    if draw is None:
        raise FlagError(f"--out {out}: the ending must be one of {', '.join(FORMS)}")
    project = request.opened(file)
    project.state.write(Path(out).absolute(), draw(request.plan(project, request.selection(only, group, platform))))
    print(out)
