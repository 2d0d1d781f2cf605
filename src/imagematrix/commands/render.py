"""The render command: the leaves as files."""

from contextlib import nullcontext

from imagematrix.commands.command import command
from imagematrix.commands.options import File, RenderCheck, Summary
from imagematrix.errors import StaleError


@command
def render(*, check: RenderCheck, summary: Summary, file: File) -> None:
    """Write the leaves under images/, and remove generated leaves that no longer have a row."""
    from imagematrix.commands import leaves, request
    from imagematrix.commands.terminal import note
    from imagematrix.project import Selection

    if summary:
        print(_summary(file, "HEAD" if summary is True else str(summary)), end="")
        return
    with nullcontext(request.opened(file)) if check else request.opened_to_write(file) as project:
        files = project.files(project.leaves(request.possible_rows(project, Selection())))
        touched = () if check else leaves.write(project, files, say=note, record=True)
    here = project.repository.from_here
    if check:
        stale = list(project.repository.leaves.stale(files, keep=project.directories()))
        if stale:
            raise StaleError(
                "\n".join([*map(here, stale), "leaves are stale: run `invoke render` and commit the result"])
            )
        print(f"{len(files)} leaves are up to date")
        return
    removed = [path for path in touched if path != project.repository.lock_file and path not in files]
    kept = {path for path in removed if (project.repository.root / path).is_dir()}
    told = {path: ": removed, except what render did not write" if path in kept else ": removed" for path in removed}
    total = f"{sum(path in files for path in touched)} of {len(files)} leaves written"
    total += f", {len(removed)} removed" if removed else ""
    print("\n".join([*(f"{here(path)}{told.get(path, '')}" for path in touched), total]))


def _summary(file: str, revision: str) -> str:
    """Compare the leaves as they are with those of a revision."""
    from pathlib import Path

    from imagematrix.git import GitRepository
    from imagematrix.planning import changes
    from imagematrix.report.console.render import summary_text
    from imagematrix.repository import IMAGES, Repository, nearest_matrix

    here = Repository(Path(file or nearest_matrix()).absolute())
    committed = GitRepository(here.root)
    changed = committed.changed(revision, [IMAGES])
    leaves = {"/".join(path.split("/")[:3]) for path in changed}
    paths = sorted({*changed, *(f"{leaf}/Dockerfile" for leaf in leaves)})
    return summary_text(changes.between(committed.texts(revision, paths), here.texts(paths)))
