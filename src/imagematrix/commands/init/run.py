"""Begins a monorepo: looks at a folder and the repository around it, writes its first files, locks and renders them."""

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagematrix.commands import leaves, request
from imagematrix.commands.lock.everything import lock_rows
from imagematrix.disk import telling
from imagematrix.errors import FlagError, NoIndexError
from imagematrix.git import remotes
from imagematrix.model import MATRIX, File
from imagematrix.planning.beginning import Beginning, Surroundings, begin, looked_at
from imagematrix.project import Selection
from imagematrix.repository import IMAGES
from imagematrix.text import platforms
from imagematrix.text.formatting import count
from imagematrix.tree import Tree

_TEMPLATES: Final = Path(__file__).parents[2] / "templates/init"
_MACHINES: Final = {"aarch64": "linux/arm64", "arm64": "linux/arm64"}
_SERVERS: Final = ("github", "gitlab")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InitPlace:
    """Where a monorepo is to begin."""

    folder: Path
    repository: Path
    """The root of the git repository around it; without one, the folder."""
    surroundings: Surroundings


def look(folder: Path) -> InitPlace:
    """Look at a folder. Raises FlagError where a monorepo cannot begin."""
    _refuse(folder)
    repository = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    within, tree = folder.relative_to(repository).as_posix(), Tree(repository)
    surroundings = Surroundings(
        name=folder.name,
        within=within,
        platform=_MACHINES.get(platform.machine(), platforms.DEFAULT),
        ci=_server(repository),
        texts={path: tree.text(path) for path in looked_at(within) if tree.is_file(path)},
    )
    return InitPlace(folder=folder, repository=repository, surroundings=surroundings)


def _refuse(folder: Path) -> None:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise FlagError(f"{there} is not a folder")
    if (folder / MATRIX).exists():
        raise FlagError(f"{folder / MATRIX} exists: `invoke check` checks it, `invoke add` adds a row")
    images = folder / IMAGES
    if images.exists() and (not images.is_dir() or any(images.iterdir())):
        raise FlagError(
            f"{images} exists, and generated files would be written there: move it away, or begin in another folder,\n"
            "    for example `invoke init --folder containers`"
        )
    if not os.access(there, os.W_OK):
        raise FlagError(f"{there} cannot be written to")


def _server(repository: Path) -> str:
    """Return whose repository it is, by its files, else by where it is pushed to; empty: neither tells."""
    if (repository / ".github").is_dir():
        return "github"
    if (repository / ".gitlab-ci.yml").is_file():
        return "gitlab"
    pushed = " ".join(remotes(repository)) if (repository / ".git").exists() else ""
    return next((name for name in _SERVERS if name in pushed), "")


def decide(place: InitPlace) -> Beginning:
    """Return what is to be written."""
    return begin(place.surroundings, {path.name: path.read_text(encoding="utf-8") for path in _TEMPLATES.iterdir()})


def preview(place: InitPlace, made: Beginning) -> str:
    """Return what would be written, in full."""
    texts = (f"--- {path}{_addition(place, path)}\n{text}" for path, text in made.files.items())
    return "\n".join([*texts, *made.remarks, "nothing was written (--dry-run)"])


def _addition(place: InitPlace, path: str) -> str:
    return " (exists; lines are added)" if path in place.surroundings.texts else ""


def agreed(place: InitPlace, made: Beginning) -> bool:
    """Ask on a terminal before files are written among others; an empty folder, or a program, needs no answer."""
    found = place.folder.iterdir() if place.folder.is_dir() else ()
    is_empty = not any(path.name != ".git" for path in found)
    if is_empty or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    print("\n".join(f"{path}{_addition(place, path)}" for path in made.files))
    return input("Write these files? [Y/n] ").strip().lower() in ("", "y", "yes")


def write(place: InitPlace, made: Beginning, *, say: Say) -> None:
    """Write the files, the matrix last: until it is there, the command can simply be repeated."""
    tree, matrix = Tree(place.repository), str((place.folder / MATRIX).relative_to(place.repository))
    tree.check(made.files)
    with telling():
        for path in sorted(made.files, key=lambda path: path == matrix):
            tree.replace(path, File(path=path, content=made.files[path].encode()))
            say(f"{path}: {'lines added' if path in place.surroundings.texts else 'written'}")
    for remark in made.remarks:
        say(remark)


def complete(place: InitPlace, *, say: Say) -> None:
    """Lock the first rows and render them. Raises NoIndexError where the package index does not answer."""
    file = str(place.folder / MATRIX)
    with request.opened_to_write(file) as project:
        rows = request.possible_rows(project, Selection())
        try:
            say(lock_rows(project, rows, request.site_of(project), say=say))
        except NoIndexError as error:
            remedy = f"this locks and renders what is missing: {_from_here(place)}invoke lock && invoke render"
            raise NoIndexError(f"{error}\n    {remedy}") from None
    with request.opened_to_write(file) as project:
        files = project.files(project.leaves(request.possible_rows(project, Selection())))
        leaves.write(project, files, say=say, record=True)
        say(f"{count(len(files), 'leaf', 'leaves')} written")


def next_steps(place: InitPlace) -> str:
    """Return what to do next."""
    return f"next: {_from_here(place)}invoke build --matrix verify --matrix"


def _from_here(place: InitPlace) -> str:
    """Return what to type before a command that is about the new monorepo."""
    return "" if place.folder == Path.cwd() else f"cd {os.path.relpath(place.folder)} && "
