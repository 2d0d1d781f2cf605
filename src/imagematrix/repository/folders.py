"""What a matrix declares of folders elsewhere in the monorepo, read: source folders, and whole Dockerfiles.

A declared path is relative to the matrix file and stays in the git repository around it. Of a folder counts what its
.dockerignore leaves: the files of editors, of git and of imagematrix itself never do.
"""

import posixpath
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from imagematrix.audit import contents
from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import Collector, InputError
from imagematrix.model import SOURCES, DockerfileLayer, File, LayerSource, Matrix
from imagematrix.planning import handwritten
from imagematrix.planning.handwritten import Ignored
from imagematrix.repository.leaves import IMAGES
from imagematrix.repository.shelf import Shelf, is_dropping
from imagematrix.text import formatting
from imagematrix.text.locate import KeyPath, line_of, locate
from imagematrix.tree import Tree

_NEVER: Final = (".git", ".imagematrix")
_IGNORING: Final = ".dockerignore"
_MOST_FILES: Final = 10_000
_MOST_BYTES: Final = 10**9
"""What a folder may have: each leaf that copies it holds all of it."""


class Folders:
    """Reads the folders that a matrix declares."""

    def __init__(self, matrix_file: Path, text: str, *, repository: Path) -> None:
        """Take the text of the matrix file, for the lines of what is wrong, and the git repository around it."""
        self._within = matrix_file.parent.resolve().relative_to(repository).as_posix()
        self._tree = Tree(repository)
        self._matrix = matrix_file.name
        self._text = text

    def read(self, declared: Matrix) -> tuple[tuple[File, ...], Mapping[str, LayerSource]]:
        """Return the files of the source folders, and the layers. Raises InputError with all that is wrong."""
        found = Collector()
        folders = [found.attempt(partial(self._folder, *each)) for each in declared.sources.items()]
        layers = {
            name: layer
            for name, each in declared.dockerfiles.items()
            if (layer := found.attempt(partial(self._layer, name, each)))
        }
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return tuple(file for files in folders for file in files or ()), layers

    def _folder(self, name: str, path: str) -> tuple[File, ...]:
        """Read a source folder."""
        at: KeyPath = ("sources", name)
        self._place(path, at, expected=stat.S_IFDIR)
        ignoring = self._text_of(f"{path}/{_IGNORING}")
        return self._files(path, at, prefix=f"{SOURCES}/{name}/", patterns=(".",), ignored=Ignored(ignoring))

    def _layer(self, name: str, declared: DockerfileLayer) -> LayerSource:
        """Read a whole Dockerfile and what it may copy."""
        at: KeyPath = ("dockerfiles", name)
        place = self._place(declared.file, (*at, "file"), expected=stat.S_IFREG)
        self._place(declared.context, (*at, "context"), expected=stat.S_IFDIR)
        text = self._tree.text(place)
        own, common = (f"{declared.file}{_IGNORING}", f"{declared.context}/{_IGNORING}")
        ignored = Ignored(self._text_of(own) or self._text_of(common))
        patterns = handwritten.sources(handwritten.read(text, target=declared.target))
        files = self._files(declared.context, at, prefix=f"{name}/", patterns=patterns, ignored=ignored)
        return LayerSource(
            name=name,
            template=handwritten.template(text),
            template_path=posixpath.normpath(declared.file),
            whole=declared,
            context=files,
        )

    def _place(self, path: str, at: KeyPath, *, expected: int) -> str:
        """Return where a declared file or folder is in the repository. Raises InputError where it is not."""
        what, place = "folder" if expected == stat.S_IFDIR else "file", self._at(path)
        if place == ".." or place.startswith("../"):
            hint = f"expected a {what} of the monorepo, relative to this file"
            raise self._wrong(at, f"{path!r} is outside the repository", hint)
        problem = self._tree.problem(place, expected=expected) if place else None
        if problem:
            raise self._wrong(at, f"{path!r} {problem.message}", problem.hint)
        if not (self._tree.root / place).exists():
            raise self._wrong(at, f"there is no {what} {path!r}", "expected a path relative to this file")
        return place

    def _at(self, path: str) -> str:
        """Return a declared path relative to the repository, empty for its root; outside it begins with `..`."""
        found = posixpath.normpath(posixpath.join(self._within, path))
        return "" if found == "." else found

    def _text_of(self, path: str) -> str:
        """Return the text of a file beside what is declared; empty: there is none."""
        place = self._at(path)
        return self._tree.text(place) if self._tree.is_file(place) else ""

    def _files(
        self, path: str, at: KeyPath, *, prefix: str, patterns: Collection[str], ignored: Ignored
    ) -> tuple[File, ...]:
        """Read what patterns name of a folder. Raises InputError."""
        shelf = Shelf(Tree(self._tree.root / self._at(path)))
        leaves = posixpath.relpath(self._at(IMAGES) or IMAGES, self._at(path) or ".")
        try:
            found = sorted({*_found(shelf.tree, patterns, _leaving_out(patterns, ignored, leaves))})
            self._refuse_big(at, path, [shelf.tree.size(each) for each in found])
            files = {each: shelf.file(prefix + each, each) for each in found}
            _refuse_secrets(path, {each: file for each, file in files.items() if not ignored.keeps(each)})
            return tuple(files.values())
        except InputError as error:
            raise InputError(
                each if each.file == self._matrix else replace(each, file=f"{path}/{each.file}")
                for each in error.diagnostics
            ) from None

    def _refuse_big(self, at: KeyPath, path: str, sizes: Collection[int]) -> None:
        total = sum(sizes)
        if len(sizes) > _MOST_FILES or total > _MOST_BYTES:
            what = f"{path!r} has {len(sizes):,} files of {formatting.size(total)}"
            hint = f"each leaf holds them: leave out what images do not need in {path}/{_IGNORING}"
            most = f"{_MOST_FILES:,} files of {formatting.size(_MOST_BYTES)} are allowed"
            raise self._wrong(at, f"{what}, and {most}", hint)

    def _wrong(self, at: KeyPath, what: str, hint: str) -> InputError:
        line = line_of(at, locate(self._text))
        return InputError([Diagnostic(code="folder", file=self._matrix, line=line, message=what, hint=hint)])


def _refuse_secrets(folder: str, files: Mapping[str, File]) -> None:
    """Raise InputError for files that look secret: leaves are committed, and images are published."""
    hint = (
        f"leave it out in {folder}/{_IGNORING}, and mount it: RUN --mount=type=secret; if it is none, name it there: "
    )
    found = [
        Diagnostic(
            file=path,
            code="secret",
            message=f"looks like {what}, and leaves would hold a copy of it",
            hint=f"{hint}!{path}",
        )
        for path, file in files.items()
        if (what := contents.looks_secret(path, file.content))
    ]
    if found:
        raise InputError(found)


def _leaving_out(patterns: Collection[str], ignored: Ignored, leaves: str) -> Callable[[str, bool], bool]:
    """Return what decides which paths of a folder are left out; `leaves` is where the leaves are, seen from it."""

    def leave_out(path: str, is_folder: bool) -> bool:
        if is_folder:
            return path == leaves or (ignored(path) and not ignored.has_exceptions)
        return ignored(path) or not any(handwritten.is_match(path, pattern) for pattern in patterns)

    return leave_out


def _found(tree: Tree, patterns: Collection[str], leave_out: Callable[[str, bool], bool]) -> Iterator[str]:
    """Yield the files below the folders that patterns begin with."""
    for start in {handwritten.literal(pattern) for pattern in patterns}:
        within = "" if start == "." else start
        if not within or not tree.problem(within, expected=stat.S_IFDIR):
            below = partial(_below, within, leave_out)
            yield from (posixpath.join(within, path) for path in tree.files(within, skip=_is_left, leave_out=below))
        elif not leave_out(within, False) and tree.is_file(within):
            yield within


def _below(folder: str, leave_out: Callable[[str, bool], bool], path: str, is_folder: bool) -> bool:
    return leave_out(posixpath.join(folder, path), is_folder)


def _is_left(name: str) -> bool:
    return name in _NEVER or is_dropping(name)
