"""The render command: the leaves as files."""

from contextlib import nullcontext

from imagematrix.commands.command import command
from imagematrix.commands.options import File, RenderCheck
from imagematrix.errors import StaleError


@command
def render(*, check: RenderCheck, file: File) -> None:
    """Write the leaves under images/, and remove generated ones that no row makes any more."""
    from imagematrix.commands import request
    from imagematrix.project import Selection

    with nullcontext(request.opened(file)) if check else request.opened_to_write(file) as project:
        files = project.files(project.leaves(request.possible_rows(project, Selection())))
        touched = () if check else project.workspace.write_leaves(files, keep=project.directories())
    if check:
        stale = list(project.workspace.stale(files, keep=project.directories()))
        if stale:
            raise StaleError("\n".join([*stale, "leaves are stale: run `invoke render` and commit the result"]))
        print(f"{len(files)} leaves are what the matrix says")
        return
    print("\n".join([*touched, f"{len(touched)} of {len(files)} leaves written"]))
