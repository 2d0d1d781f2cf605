"""Writes leaves, and reports beforehand what another version of imagematrix changes in them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from imagematrix import __version__
from imagematrix.model import File
from imagematrix.planning import changes, lock
from imagematrix.planning.changes import Changes
from imagematrix.project import Project
from imagematrix.text import versions
from imagematrix.text.formatting import count

LeafFiles = Mapping[str, Sequence[File]]
"""Directory of a leaf -> what belongs in it."""


def write(project: Project, files: LeafFiles, *, say: Callable[[str], None], record: bool = False) -> tuple[str, ...]:
    """Write leaves; return the paths touched.

    If another version rendered the leaves last, `say` hears first what changes. Once all leaves are written, the lock
    of the matrix names this version; with `record` also when no leaf changed.
    """
    if is_upgraded(project):
        for line in upgrade(project, files):
            say(line)
    touched = project.repository.leaves.write(files, keep=project.directories())
    is_whole = {*project.directories()} <= {*files}
    if is_whole and (touched or record) and _release(project) != versions.release(__version__):
        project.repository.write_lock(lock.dump(replace(project.lock, imagematrix=versions.public(__version__))))
        touched = (*touched, project.repository.lock_file)
    return touched


def is_upgraded(project: Project) -> bool:
    """Whether another version of imagematrix rendered the leaves last."""
    return bool(project.lock.imagematrix) and _release(project) != versions.release(__version__)


def upgrade(project: Project, files: LeafFiles) -> Iterator[str]:
    """Say how leaves differ from those on the disk, which another version of imagematrix rendered."""
    new = {f"{directory}/{file.path}": file for directory in files for file in files[directory] if not file.stored}
    old = project.repository.texts(new)
    found = changes.between(old, {path: file.content.decode(errors="replace") for path, file in new.items()})
    if found.changed:
        before, now = project.lock.imagematrix, _words(found, len(files))
        yield f"imagematrix {before} rendered the leaves, and this is {__version__}: {now}"


def _words(found: Changes, leaves: int) -> str:
    images = len(found.changed) - len(found.companions)
    if not images:
        return f"READMEs and run examples of {count(len(found.companions), 'leaf', 'leaves')} change, and no image"
    verb = "changes" if images == 1 else "change"
    return f"{images} of {count(leaves, 'image')} {verb} (stages {', '.join(found.stages)})"


def _release(project: Project) -> str:
    """Return which release rendered the leaves; the commits before one count as it, so that they change no lock."""
    return versions.release(project.lock.imagematrix)
