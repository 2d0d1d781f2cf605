"""The leaves of a matrix on the disk: compared, written, pruned. Leaves of other matrices and files of people stay."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from imagematrix import tree
from imagematrix.diagnostics import Diagnostic
from imagematrix.disk import telling
from imagematrix.errors import Collector, InputError
from imagematrix.model import MATRIX, File, Stored
from imagematrix.repository.shelf import is_dropping
from imagematrix.tree import Tree

MANIFEST: Final = ".generated"
"""In each leaf: the paths we wrote there, and for which matrix. What it does not list is never changed."""
IMAGES: Final = "images"
_FOR: Final = "# For "
"""Begins the line of a listing that names its matrix; without one it is that of `matrix.toml`."""
_OWNER: Final = re.compile(rf"^{_FOR}(.+)$", re.MULTILINE)


class LeafFolders:
    """The leaf directories of a project, as one of its matrices may change them."""

    def __init__(self, files: Tree, *, matrix: str) -> None:
        self._tree = files
        self._matrix = matrix

    def stale(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> Iterator[str]:
        """Yield each difference between rendered leaves (directory -> files) and the disk, worst first told.

        `keep` are the directories of all rows of the matrix: other generated ones are leftovers.
        """
        for directory, files in leaves.items():
            wanted = (*files, self._listing(files))
            found = ((file, self._difference(directory, file)) for file in wanted)
            yield from (f"{directory}/{file.path}{what}" for file, what in found if what)
            listed = {file.path for file in wanted}
            extra = (path for path in self._tree.files(directory, skip=is_dropping) if path not in listed)
            yield from (f"{directory}/{path}: is not part of the leaf: remove it" for path in extra)
        yield from (f"{directory}: no row of the matrix makes this leaf" for directory in self._leftovers(keep))

    def write(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> tuple[str, ...]:
        """Write what differs, delete generated files no longer wanted; return the directories touched.

        Files that are already right keep their mtime; files that are not ours stay. Raises InputError, before anything
        is written, for what `check` refuses.
        """
        changes = self._checked(leaves)
        obsolete = {directory: change.obsolete for directory, change in changes.items()}
        leftovers = {directory: self._listed(directory) | {MANIFEST} for directory in self._leftovers(keep)}
        self._tree.check(
            f"{directory}/{path}" for found in (obsolete, leftovers) for directory in found for path in found[directory]
        )
        with telling():
            written = [directory for directory, change in changes.items() if self._write_leaf(directory, change)]
            for directory, paths in leftovers.items():
                self._tree.delete(directory, paths)
            return (*written, *leftovers)

    def check(self, leaves: Mapping[str, Sequence[File]]) -> None:
        """Raise InputError with everything that keeps leaves, by their directories, from being written.

        That is a path through a link or to something else than a file, a file that we did not write, and a leaf of
        another matrix.
        """
        self._checked(leaves)

    def write_more(self, leaves: Mapping[str, Sequence[File]]) -> None:
        """Write leaves, by their directories, and touch no other."""
        self.write(leaves, keep=self._mine())

    def _checked(self, leaves: Mapping[str, Sequence[File]]) -> Mapping[str, "_Change"]:
        found = Collector()
        changes = {
            directory: change
            for directory, files in leaves.items()
            if (change := found.attempt(partial(self._change, directory, files)))
        }
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return changes

    def _write_leaf(self, directory: str, change: "_Change") -> bool:
        if change.obsolete:  # first: a file may have become a folder
            self._tree.delete(directory, change.obsolete)
        self._tree.clear_remains(directory)
        # A killed run leaves a listing of everything that it may have written: the next one may replace it.
        for file in (*change.changed, *change.claim, *change.new, *change.listing):
            self._tree.replace(f"{directory}/{file.path}", file)
        return change.is_one

    def _change(self, directory: str, files: Sequence[File]) -> "_Change":
        """Return what must be written into a leaf, and what was generated in it and is no longer rendered.

        Raises InputError where a file cannot be written.
        """
        owner, listed = self._owner(directory), self._listed(directory)
        if owner not in ("", self._matrix):
            what, hint = f"is a leaf of {owner}", f"give this row of {self._matrix} another family or tag"
            raise InputError([Diagnostic(file=directory, message=what, hint=hint, code="foreign_leaf")])
        obsolete = listed - {file.path for file in files}
        gone = {f"{directory}/{path}" for path in obsolete}
        different = [file for file in files if self._difference(directory, file)]
        listing = [file for file in [self._listing(files)] if self._difference(directory, file)]
        places = [f"{directory}/{file.path}" for file in (*different, *listing)]
        problems = {path: problem for path in places if (problem := self._tree.problem(path))}
        in_the_way = [problem for problem in problems.values() if not self._goes(problem.file, gone)]
        new = [file for file in different if file.path not in listed]
        others = (path for file in new if (path := f"{directory}/{file.path}") not in problems)
        in_the_way += [not_ours(path) for path in others if self._tree.is_file(path)]
        if in_the_way:
            raise InputError(in_the_way)
        return _Change(
            changed=tuple(file for file in different if file.path in listed),
            new=tuple(new),
            claim=(self._claim(listed, new),) if new else (),
            listing=tuple(listing),
            obsolete=frozenset(obsolete),
        )

    def _goes(self, path: str, gone: set[str]) -> bool:
        """Whether everything at a path is deleted first: a file that became a folder, or a folder a file."""
        return path in gone or (
            self._tree.is_folder(path) and {f"{path}/{one}" for one in self._tree.files(path)} <= gone
        )

    def _listed(self, directory: str) -> set[str]:
        """Return what a leaf's listing names, but nothing outside the leaf: the listing may come from anywhere."""
        lines = self._manifest(directory).split("\n")
        return {name for name in lines if tree.is_inside(name) and not _OWNER.fullmatch(name)}

    def _owner(self, directory: str) -> str:
        """Return the matrix file that a leaf is of; empty: nothing was generated there, or its matrix is gone."""
        if not self._tree.is_file(f"{directory}/{MANIFEST}"):
            return ""
        found = _OWNER.search(self._manifest(directory))
        owner = found[1] if found else MATRIX
        is_there = owner == self._matrix or (tree.is_inside(owner) and (self._tree.root / owner).is_file())
        return owner if is_there else ""

    def _manifest(self, directory: str) -> str:
        path = f"{directory}/{MANIFEST}"
        return self._tree.read(path).decode(errors="replace") if self._tree.is_file(path) else ""

    def _listing(self, files: Sequence[File]) -> File:
        head = "" if self._matrix == MATRIX else f"{_FOR}{self._matrix}\n"
        return File(path=MANIFEST, content=(head + "".join(f"{file.path}\n" for file in files)).encode())

    def _claim(self, listed: Collection[str], new: Sequence[File]) -> File:
        """Return a listing of what may be there while a leaf is being written."""
        return self._listing([File(path=path) for path in sorted({*listed, *(file.path for file in new)})])

    def _mine(self) -> list[str]:
        """Return the directories of all leaves of this matrix, sorted."""
        families = (f"{IMAGES}/{family}" for family in self._tree.folders(IMAGES))
        found = (f"{family}/{leaf}" for family in families for leaf in self._tree.folders(family))
        return [directory for directory in found if self._owner(directory) == self._matrix]

    def _leftovers(self, keep: Collection[str]) -> list[str]:
        return [directory for directory in self._mine() if directory not in keep]

    def _difference(self, directory: str, file: File) -> str:
        """Return how a file on disk differs from the rendered one, empty when it does not."""
        path = f"{directory}/{file.path}"
        try:
            if file.stored:
                return self._difference_of_stored(path, file, file.stored)
            most = len(file.content) + tree.CHUNK
            content = self._tree.read(path, most=most)
            if len(content) == most:  # not all of it is read: it may be huge
                return _sizes(self._tree.size(path), len(file.content))
        except FileNotFoundError:
            return ": is missing"
        except InputError as error:
            (problem,) = error.diagnostics
            return (
                f": {problem.message}" if problem.file == path else f": is missing ({problem.file} {problem.message})"
            )
        if content != file.content:
            return _first_difference(content, file.content)
        return self._difference_of_mode(path, file)

    def _difference_of_stored(self, path: str, file: File, stored: Stored) -> str:
        size = self._tree.size(path)
        if size != stored.bytes:
            return _sizes(size, stored.bytes)
        if self._tree.stored(path).sha256 != stored.sha256:
            return ": has another content"
        return self._difference_of_mode(path, file)

    def _difference_of_mode(self, path: str, file: File) -> str:
        if self._tree.is_executable(path) != file.executable:
            return f": should {'' if file.executable else 'not '}be executable"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What makes a leaf on the disk the rendered one, in the order in which it is done."""

    obsolete: frozenset[str]
    changed: tuple[File, ...]
    """Files of ours with another content."""
    claim: tuple[File, ...]
    """A listing of the new files beside the old ones, where there are new files."""
    new: tuple[File, ...]
    listing: tuple[File, ...]
    """The listing in the end, where it is not that already."""

    @property
    def is_one(self) -> bool:
        return bool(self.obsolete or self.changed or self.new or self.listing)


def not_ours(path: str) -> Diagnostic:
    """Return the problem of a file that stands where a generated one belongs, and that no listing or head marks."""
    hint = "move it away; or delete it, if an earlier run wrote it"
    return Diagnostic(file=path, message="was not generated by imagematrix, and is kept", hint=hint, code="not_ours")


def _sizes(size: int, wanted: int) -> str:
    return f": has {size:,} bytes, should have {wanted:,}"


def _first_difference(found: bytes, wanted: bytes) -> str:
    old, new = found.decode(errors="replace").split("\n"), wanted.decode(errors="replace").split("\n")
    line = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    has = repr(old[line]) if line < len(old) else "nothing"
    wants = repr(new[line]) if line < len(new) else "nothing"
    return f":{line + 1}: has {has}, should have {wants}"
