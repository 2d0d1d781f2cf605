"""The add command: one row more, with all that belongs to it."""

from contextlib import nullcontext

from imagematrix.commands.command import command
from imagematrix.commands.options import AddDryRun, File, Settings, Site, Words


@command
def add(
    *,
    words: Words,
    set: Settings,  # noqa: A002 - the flag's name
    dry_run: AddDryRun,
    site: Site,
    file: File,
) -> None:
    """Add one row, proven, locked and rendered: `invoke add FAMILY AXIS=VALUE …`.

    The row is proven first: the matrix's own rules, which versions go together, and its requirements resolved. Then
    its line goes into matrix.toml, where you would have put it and without touching anything else: as one more value
    of an axis where that gives just this row, else as a [[row]]. Its locks and its leaf are written with it. When
    anything cannot be, nothing is written, and you are told which rows near to it would work. Facts that templates
    want of a new value are said the same way, NAME=VALUE.

        invoke add pytorch torch=2.4.1 python=3.11 base=cuda124 --dry-run
    """
    from imagematrix.commands import request
    from imagematrix.commands.add import run
    from imagematrix.commands.terminal import echo
    from imagematrix.report.console.add import added_text
    from imagematrix.resolver import Uv
    from imagematrix.shell import Shell

    context = nullcontext(request.opened(file, site=site)) if dry_run else request.opened_to_write(file, site=site)
    with context as project:
        made = run.run(
            project,
            [*words, *set],
            resolver=lambda: Uv(Shell(), request.site_of(project)),
            images=request.images_if_any(),
            dry=dry_run,
            say=echo,
        )
    print(added_text(made))
