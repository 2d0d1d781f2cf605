"""A project's own files: its matrix, its locks, its corrections of the catalogue."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from imagematrix import extensions, tree
from imagematrix.diagnostics import Diagnostic
from imagematrix.disk import disk_words, telling
from imagematrix.errors import Collector, FlagError, InputError
from imagematrix.model import SOURCES, File, Matrix, Sources
from imagematrix.planning import apt_locks, requirements
from imagematrix.planning.requirements import owners
from imagematrix.repository.folders import Folders
from imagematrix.repository.leaves import LeafFolders, not_ours
from imagematrix.repository.reading import STOCK, Common, is_of_package
from imagematrix.tree import Tree, nearest_matrix

LOCKS: Final = "locks"
COMPAT: Final = "compat"
_LOCK_FILE: Final = re.compile(r"[^/]+/[^/]+\.txt")


def from_here(matrix_file: str, path: str) -> str:
    """Return a path of a project, relative to its root, as one reaches it from the current folder.

    In a folder that is neither above the root nor below it, the path stays as it is; so does text behind it.
    """
    root, here = Path(matrix_file or nearest_matrix()).absolute().parent, Path.cwd()
    if path.startswith("/") or (here == root and not is_of_package(root, path)):
        return path
    if is_of_package(root, path):
        return os.path.relpath(STOCK / path) if here in STOCK.parents else str(STOCK / path)
    is_near = here in root.parents or root in here.parents
    return f"{os.path.relpath(root)}/{path}" if is_near else path


class Repository:
    """A project: the folder of its matrix file, and everything committed below it.

    A folder may hold several matrix files. What this one made says so, and what it did not make stays.
    """

    def __init__(self, matrix_file: Path) -> None:
        self.matrix_file = matrix_file
        self.root = matrix_file.parent
        self._tree = Tree(self.root)
        self.common = Common(self._tree)
        self.leaves = LeafFolders(self._tree, matrix=matrix_file.name)
        self.lock_file = f"{matrix_file.name.removesuffix('.toml')}.lock"
        """The name of the file with the digests of bases and the epochs."""

    def matrix_text(self) -> str:
        """Return the text of the matrix file. Raises InputError when it cannot be read."""
        try:
            return tree.decoded(_read_named(self.matrix_file), self.matrix_file.name, encoding="utf-8-sig")
        except OSError as error:
            hint = "run this in a project's root, name its matrix with --file, or begin a project with `invoke init`"
            problem = Diagnostic(file=str(self.matrix_file), message=disk_words(error), hint=hint, code="unreadable")
            raise InputError([problem]) from None

    def sources(self, declared: Matrix, *, text: str = "") -> Sources:
        """Read everything that leaves are made of; `text` is that of the matrix, if it is not the one on the disk.

        Raises InputError with everything that cannot be read.
        """
        found, folders = Collector(), Folders(self.matrix_file, text or self.matrix_text(), repository=self.git_root)
        common, elsewhere = found.attempt(self.common.sources), found.attempt(lambda: folders.read(declared))
        if common is None or elsewhere is None:
            raise InputError(found.diagnostics)
        files, layers = elsewhere
        own = {*(f"layers/{name}" for name in layers), *(f"{SOURCES}/{name}" for name in declared.sources)}
        return replace(common, folders=files, layers={**common.layers, **layers}, own=common.own | own)

    def from_here(self, path: str) -> str:
        """Return a path of the project as one reaches it from the current folder."""
        return from_here(str(self.matrix_file), path)

    def in_repository(self, path: str) -> str:
        """Return a path of the project as CI names it: relative to the root of the git repository around it."""
        root, outer = self.root.resolve(), self.git_root
        found = (STOCK.resolve() if is_of_package(root, path) else root) / path
        return found.relative_to(outer).as_posix() if found.is_relative_to(outer) else path

    @property
    def git_root(self) -> Path:
        """The root of the git repository around the project; without one, the project's own."""
        root = self.root.resolve()
        return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)

    def matrix_source(self) -> str:
        """Return the text of the matrix file exactly as on the disk, with line ends and byte order mark."""
        self.matrix_text()  # says what is wrong with it
        return self.matrix_file.read_bytes().decode()

    def replace_matrix(self, old: str, new: str) -> None:
        """Replace the text of the matrix file. Raises FlagError when it was changed in the meantime."""
        if self.matrix_source() != old:
            raise FlagError(
                f"{self.matrix_file.name} was changed in the meantime and is left unchanged: run the command again"
            )
        path = self.matrix_file.resolve()  # a link stays one
        with telling():
            tree.replace(path, File(path=path.name, content=new.encode(), executable=_is_executable(path)))

    def lock_text(self) -> str:
        """Return the text of the matrix's lock, empty when there is none."""
        return self._tree.text(self.lock_file) if self._tree.is_file(self.lock_file) else ""

    def write_lock(self, text: str) -> None:
        """Replace the matrix's lock."""
        with telling():
            self._tree.replace(self.lock_file, File(path=self.lock_file, content=text.encode()))

    def locks(self) -> Mapping[str, str]:
        """Return the requirement locks, path -> text: those that we wrote."""
        found = (path for path in self._tree.files(LOCKS) if _LOCK_FILE.fullmatch(path))
        texts = {f"{LOCKS}/{path}": self._tree.text(f"{LOCKS}/{path}") for path in found}
        return {path: text for path, text in texts.items() if requirements.is_ours(text)}

    def apt_locks(self) -> Mapping[str, str]:
        """Return the apt locks, path -> text: those that we wrote."""
        paths = (f"{apt_locks.FOLDER}/{path}" for path in self._tree.files(apt_locks.FOLDER) if path.endswith(".txt"))
        texts = {path: self._tree.text(path) for path in paths}
        return {path: text for path, text in texts.items() if apt_locks.is_ours(text)}

    def corrections(self) -> Mapping[str, str]:
        """Return what corrects the catalogue of versions, path -> text."""
        names = self._tree.files(COMPAT, skip=lambda name: not name.endswith(".toml"))
        return {path: self._tree.text(path, encoding="utf-8-sig") for path in (f"{COMPAT}/{name}" for name in names)}

    def plugin_text(self) -> str:
        """Return the text of the project's plugin, empty when there is none."""
        return self._tree.text(extensions.FILE) if self._tree.is_file(extensions.FILE) else ""

    def public_keys(self, path: str) -> str:
        """Return the text of a file of the project that holds public keys. Raises FlagError when there is none."""
        if not self._tree.is_file(path):
            raise FlagError(f"[signing] public: there is no file {path}\n    make one, and commit it: docs/security.md")
        return self._tree.text(path)

    def write_locks(self, locks: Mapping[str, str], *, prune: bool) -> tuple[str, ...]:
        """Write the requirement locks that this matrix needs; return the paths touched.

        `prune` removes its other locks. One that another matrix needs too only loses the name of this one. Raises
        InputError, before anything is written, for a file in a lock's place that we did not write.
        """
        return self._write(locks, found=self.locks(), folder=LOCKS, prune=prune)

    def write_apt_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Write the apt locks that this matrix needs, and remove its others, as `write_locks` does."""
        return self._write(locks, found=self.apt_locks(), folder=apt_locks.FOLDER, prune=True)

    def _write(
        self, locks: Mapping[str, str], *, found: Mapping[str, str], folder: str, prune: bool
    ) -> tuple[str, ...]:
        me = self.matrix_file.name
        texts = {path: owners.claimed(text, me, before=self._owners(found, path)) for path, text in locks.items()}
        changed = {path: text for path, text in texts.items() if found.get(path) != text}
        unneeded = [path for path in found if prune and path not in locks and me in self._owners(found, path)]
        changed |= {path: owners.released(found[path], me) for path in unneeded if self._owners(found, path) != {me}}
        obsolete = [path for path in unneeded if path not in changed]
        self._tree.check([*changed, *obsolete])
        self._refuse_unmarked(path for path in changed if path not in found)
        with telling():
            for path, text in changed.items():
                self._tree.replace(path, File(path=path, content=text.encode()))
            self._tree.delete(folder, {path.removeprefix(f"{folder}/") for path in obsolete})
        return tuple(sorted([*changed, *obsolete]))

    def _owners(self, found: Mapping[str, str], path: str) -> frozenset[str]:
        """Return the matrices of this folder that need a lock."""
        named = owners.of(found[path]) if path in found else ()
        there = (name for name in named if tree.is_inside(name) and (self.root / name).is_file())
        return frozenset({*there, *({self.matrix_file.name} & {*named})})

    def _refuse_unmarked(self, paths: Iterable[str]) -> None:
        """Raise InputError for files that we did not write; a merge may have left its marks in one that we did."""
        found = [path for path in paths if self._tree.is_file(path)]
        problems = [not_ours(path) for path in found if not self._tree.text(path).startswith(apt_locks.HEAD)]
        if problems:
            raise InputError(problems)

    def texts(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Return those of some files that exist, as text."""
        return {path: self._tree.read(path).decode(errors="replace") for path in paths if self._tree.is_file(path)}


def _read_named(path: Path) -> bytes:
    """Return the content of the matrix file, which a user names: a link is followed, a FIFO is not waited for."""
    if path.exists() and not path.is_file():
        raise InputError([Diagnostic(code="unsafe_path", file=path.name, message="is not a regular file")])
    return path.read_bytes()


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)
