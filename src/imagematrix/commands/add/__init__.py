"""The add command: one more row, with everything that belongs to it."""

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
    """Add one row, checked, locked and rendered: `invoke add FAMILY AXIS=VALUE …`.

    The row is checked first: the matrix's own rules, which versions go together, and its requirements are resolved.
    Then its line is written into matrix.toml, where you would have put it, and nothing else changes: as one more value
    of an axis if that gives only this row, else as a [[row]]. Its locks and its leaf are written with it. If anything
    fails, nothing is written, and the nearest rows that would work are printed. Facts that templates need for a new
    value are given the same way, NAME=VALUE.

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
