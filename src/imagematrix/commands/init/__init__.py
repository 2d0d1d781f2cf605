"""The init command: a monorepo where there was none."""

from imagematrix.commands.command import command
from imagematrix.commands.options import InitDryRun, InitFolder, Yes


@command
def init(*, folder: InitFolder, yes: Yes, dry_run: InitDryRun) -> None:
    """Begin a monorepo of images here: write matrix.toml and what goes with it, lock and render its first rows.

    Nothing that exists is overwritten: lines are added to .gitignore, .gitattributes and README.md. A folder that has
    a matrix already, or an images/ of somebody else's, is refused.
    """
    from pathlib import Path

    from imagematrix.commands.init import run
    from imagematrix.commands.terminal import echo
    from imagematrix.resolver import find_uv
    from imagematrix.shell import Shell

    place = run.look(Path(folder).absolute())
    made = run.decide(place)
    if dry_run:
        print(run.preview(place, made))
        return
    find_uv(Shell())  # without it nothing could be locked, so nothing is written
    if not yes and not run.agreed(place, made):
        echo("nothing was written")
        return
    run.write(place, made, say=echo)
    run.complete(place, say=echo)
    print(run.next_steps(place))
