"""The layers command: which layers there are, and those of the package taken over."""

from imagematrix.commands.command import command
from imagematrix.commands.options import ComparedLayer, CopiedLayer, File, MergedLayer
from imagematrix.errors import FlagError


@command
def layers(*, copy: CopiedLayer, diff: ComparedLayer, merge: MergedLayer, file: File) -> None:
    """List the layers there are, where they come from and which rows use them; or copy one of the package's.

    After an upgrade, `--diff` shows what imagematrix changed in a layer since it was copied, and `--merge` brings it
    into the copy.
    """
    from imagematrix.commands import request
    from imagematrix.commands.layers import run
    from imagematrix.commands.terminal import echo
    from imagematrix.report.console import layers as console

    if sum(map(bool, (copy, diff, merge))) > 1:
        raise FlagError("--copy, --diff and --merge exclude one another")
    if copy or merge:
        with request.opened_to_write(file) as project:
            if merge:
                run.merge(project.repository, merge, say=echo)
            else:
                run.copy(project.repository, copy, say=echo)
        return
    project = request.opened(file)
    if diff:
        print(console.difference(project.repository.common.copies.read(diff, flag="--diff")), end="")
    else:
        print(console.layers_text(console.entries(project)))
