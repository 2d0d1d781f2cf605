"""The layers command: which layers there are, and the package's taken over."""

from imagematrix.commands.command import command
from imagematrix.commands.options import File, LayerName


@command
def layers(*, copy: LayerName, file: File) -> None:
    """List the layers there are, where they come from and which rows use them; or copy one of the package's."""
    from imagematrix.commands import request
    from imagematrix.report.console import layers as console

    if copy:
        with request.opened_to_write(file) as project:
            repository = project.repository
            for path in repository.common.copy(copy):
                print(repository.from_here(path))
        return
    project = request.opened(file)
    print(console.layers_text(console.entries(project)))
