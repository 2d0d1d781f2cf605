"""One guard for every file of a project that is read, written or deleted.

A checkout may come from anyone: a pull request can hold links, FIFOs, devices, and listings that name paths elsewhere.
So files are reached by their path relative to the project's root, and only through real folders: a path with a link in
it, or one that is not a regular file, is a problem with its place. What lies outside the root is never touched.
"""

import functools
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Final, cast

from imagematrix.diagnostics import Diagnostic
from imagematrix.errors import InputError
from imagematrix.model import MATRIX, File, Stored
from imagematrix.planning import keys
from imagematrix.text.visible import CONTROL

WRITING: Final = ".writing-"
"""How the name of a file begins while it is being written."""

_KINDS: Final[Mapping[int, str]] = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file",
}
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Also what stands for bytes of a name that are not UTF-8."""
CHUNK: Final = 2**20
"""Bytes that are read at once of a file that may be big."""
_NO_FOLLOW: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: a FIFO that took the file's place meanwhile must not hang us."""


def nearest_matrix() -> str:
    """Return the matrix file of the current folder, else of the nearest folder above, as invoke finds its tasks."""
    here = Path.cwd()
    candidates = (folder / MATRIX for folder in (here, *here.parents))
    return str(next((path for path in candidates if path.exists()), here / MATRIX))


class Tree:
    """The files below a root, which itself may be reached through links: it is the user's choice.

    Paths are relative, with slashes. Everything raises InputError for a path that is not safe.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = f"{root}/"  # a Path for each of thousands of files takes most of the time
        self._real: dict[str, tuple[int, int]] = {}
        """Folders that were reached through real folders only: device and inode. Most files share theirs."""

    def problem(self, path: str, *, expected: int = stat.S_IFREG) -> Diagnostic | None:
        """Return what is wrong with a path, whether or not anything is there; None: it may be read and written.

        `expected` is what may exist there: stat.S_IFREG or stat.S_IFDIR.
        """
        if why := _misnamed(path):
            return Diagnostic(file=_shown(path), message=why, hint="rename it", code="unsafe_path")
        folder = path.rpartition("/")[0]
        if folder and not self._is_known(folder):
            parts = folder.split("/")
            for above in ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1)):
                found = self._kind(above)
                if found != stat.S_IFDIR:
                    return _unexpected(above, found, stat.S_IFDIR) if found else None
            self._real[folder] = self._identity(folder)
        found = self._kind(path)
        return _unexpected(path, found, expected) if found not in (0, expected) else None

    def _is_known(self, folder: str) -> bool:
        """Whether a folder is the very one that was reached through real folders before."""
        return folder in self._real and self._identity(folder) == self._real[folder]

    def _identity(self, folder: str) -> tuple[int, int]:
        try:
            found = os.lstat(self._prefix + folder)
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    def check(self, paths: Iterable[str]) -> None:
        """Raise InputError with every one of these files that may be neither read nor written."""
        problems = [problem for path in paths if (problem := self.problem(path))]
        if problems:
            raise InputError(problems)

    def is_file(self, path: str) -> bool:
        """Whether there is a file at a path. Raises InputError for anything else in its place."""
        self.check([path])
        return bool(self._kind(path))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at a path, and no link."""
        return self._kind(path) == stat.S_IFDIR

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        return (self.root / path).lstat().st_size

    def is_executable(self, path: str) -> bool:
        """Whether its owner may execute a file: the one bit that git keeps, so the same on every machine."""
        return bool(os.lstat(self._prefix + path).st_mode & 0o100)

    def read(self, path: str, *, most: int = -1) -> bytes:
        """Return the content of a file, at most so many bytes. Raises FileNotFoundError when there is none."""
        self.check([path])
        with os.fdopen(os.open(self._prefix + path, _NO_FOLLOW), "rb") as stream:
            found = stat.S_IFMT(os.fstat(stream.fileno()).st_mode)
            if found != stat.S_IFREG:
                raise InputError([_unexpected(path, found, stat.S_IFREG)])
            return stream.read(most)

    def stored(self, path: str) -> Stored:
        """Return where the content of a big file is, with its hash; one process hashes it once."""
        self.check([path])
        at = self.root.resolve() / path
        found = at.lstat()
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return Stored(path=str(at), sha256=_sha256(str(at), stamp), bytes=found.st_size)

    def text(self, path: str, *, encoding: str = "utf-8") -> str:
        r"""Return the text of a file, with "\n" as line ends. Raises InputError when it is not UTF-8."""
        return decoded(self.read(path), path, encoding=encoding)

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted. Raises InputError for a link among them."""
        found = [(name, kind) for name, kind in self._entries(path) if kind in (stat.S_IFDIR, stat.S_IFLNK)]
        links = [_unexpected(f"{path}/{name}", kind, stat.S_IFDIR) for name, kind in found if kind == stat.S_IFLNK]
        if links:
            raise InputError(links)
        return [name for name, _ in found]

    def names(self, path: str) -> list[str]:
        """Return the names of the regular files in a folder, sorted."""
        return [name for name, kind in self._entries(path) if kind == stat.S_IFREG]

    def files(
        self,
        path: str,
        *,
        skip: Callable[[str], bool] = lambda _: False,
        leave_out: Callable[[str, bool], bool] = lambda *_: False,
    ) -> list[str]:
        """Return the paths of all files below a folder, relative to it, sorted; none if the folder does not exist.

        An empty path is the root. `skip` leaves out files and folders by name, `leave_out` by path and whether it is a
        folder. Raises InputError with everything else that is not a regular file.
        """
        found, problems = self.survey(path, skip=skip, leave_out=leave_out)
        if problems:
            raise InputError(problems)
        return found

    def survey(
        self,
        path: str,
        *,
        skip: Callable[[str], bool] = lambda _: False,
        leave_out: Callable[[str, bool], bool] = lambda *_: False,
    ) -> tuple[list[str], list[Diagnostic]]:
        """Return the paths of the regular files below a folder, as `files` does, and a problem for everything else."""
        found: list[str] = []
        problems: list[Diagnostic] = []
        for name, kind in self._walk(path, skip, leave_out):
            at = _joined(path, name)
            problem = _unexpected(at, kind, stat.S_IFREG) if kind != stat.S_IFREG else None
            if why := _misnamed(name):
                problem = Diagnostic(code="unsafe_path", file=_shown(at), message=why, hint="rename it")
            if problem:
                problems.append(problem)
            else:
                found.append(name)
        return sorted(found), problems

    def replace(self, path: str, file: File) -> None:
        """Write a file atomically."""
        self.check([path])
        replace(self.root / path, file)

    def append(self, path: str, text: str) -> None:
        """Append text to a file, which is created if necessary."""
        left = text.encode()
        with self.appending(path) as stream:
            while left:
                left = left[stream.write(left) :]

    def appending(self, path: str) -> FileIO:
        """Open a file for unbuffered appending; it is created if necessary."""
        self.check([path])
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return FileIO(os.open(self.root / path, flags, 0o644), "a")

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        if problem := self.problem(path, expected=stat.S_IFDIR):
            raise InputError([problem])
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def delete(self, folder: str, paths: Collection[str]) -> None:
        """Delete files below a folder as far as they are there, then the folders that are left empty, it too."""
        self.check(f"{folder}/{path}" for path in paths)
        for path in sorted(paths, reverse=True):
            (self.root / folder / path).unlink(missing_ok=True)
        parents = {f"{folder}/{path}".rpartition("/")[0] for path in paths} | {folder}
        for parent in sorted({above for each in parents for above in _up_to(folder, each)}, reverse=True):
            if self._kind(parent) == stat.S_IFDIR and not any((self.root / parent).iterdir()):
                (self.root / parent).rmdir()

    def clear_remains(self, folder: str) -> None:
        """Delete what killed writes left below a folder."""
        for name, kind in self._walk(folder, lambda _: False, lambda *_: False):
            if name.rpartition("/")[2].startswith(WRITING) and kind == stat.S_IFREG:
                (self.root / folder / name).unlink(missing_ok=True)

    def _walk(
        self, path: str, skip: Callable[[str], bool], leave_out: Callable[[str, bool], bool], within: str = ""
    ) -> Iterator[tuple[str, int]]:
        """Yield what is not a folder below a folder, path and kind; `within` is how far down it is already."""
        for name, kind in self._entries(_joined(path, within)):
            below = _joined(within, name)
            if skip(name) or leave_out(below, kind == stat.S_IFDIR):
                continue
            if kind == stat.S_IFDIR:
                yield from self._walk(path, skip, leave_out, below)
            else:
                yield below, kind

    def _entries(self, path: str) -> list[tuple[str, int]]:
        """Return names and kinds of what is in a folder, sorted by name."""
        if path and (problem := self.problem(path, expected=stat.S_IFDIR)):
            raise InputError([problem])
        if not self._kind(path):
            return []
        with os.scandir(self.root / path) as entries:
            return sorted((entry.name, stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)) for entry in entries)

    def _kind(self, path: str) -> int:
        """Return what is at a path, as stat.S_IFMT has it; 0: nothing."""
        try:
            return stat.S_IFMT(os.lstat(self._prefix + path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return 0


@functools.lru_cache
def _sha256(path: str, _stamp: tuple[int, ...]) -> str:
    """Return the hash of a file that has these numbers, device and inode to the moment of its last change."""
    with os.fdopen(os.open(path, _NO_FOLLOW), "rb") as stream:
        return keys.sha256_of(iter(functools.partial(stream.read, CHUNK), b""))


def decoded(content: bytes, file: str, *, encoding: str) -> str:
    r"""Return the text of a file, with "\n" as line ends. Raises InputError when it is not UTF-8."""
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        hint = "save it as UTF-8"
        problem = Diagnostic(file=file, line=line, message=f"is not UTF-8: {error.reason}", hint=hint, code="encoding")
        raise InputError([problem]) from None


@contextmanager
def reading(file: File) -> Iterator[tuple[IO[bytes], int]]:
    """Give the content of a file as a stream, and its size in bytes.

    Raises InputError at the end for a big file that is no longer what was hashed.
    """
    if not file.stored:
        yield io.BytesIO(file.content), len(file.content)
        return
    with os.fdopen(os.open(file.stored.path, _NO_FOLLOW), "rb") as stream:
        hashing = _Hashing(stream)
        yield cast("IO[bytes]", hashing), file.stored.bytes
        if hashing.sha256() != file.stored.sha256:
            what = "changed while it was read"
            raise InputError([Diagnostic(file=file.stored.path, message=what, hint="run it again", code="changed")])


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = keys.Sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._hash.add(chunk)
        return chunk

    def sha256(self) -> str:
        return self._hash.text()


def replace(path: Path, file: File) -> None:
    """Write a file anywhere, atomically; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
    try:
        with os.fdopen(handle, "wb") as stream, reading(file) as (content, _):
            shutil.copyfileobj(content, stream, CHUNK)
        Path(temporary).chmod(0o755 if file.executable else 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def is_inside(path: str) -> bool:
    """Whether a path that someone else wrote down stays below the folder that it is relative to."""
    return not _misnamed(path)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name


def _misnamed(path: str) -> str:
    """Return why a path cannot be one of a project's; empty: it can."""
    if path.startswith("/") or not {"", ".", ".."}.isdisjoint(path.split("/")):
        return "leads out of its folder"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    return "has a control character in its name" if CONTROL.search(path) else ""


def _shown(path: str) -> str:
    """Return a path that can be printed."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), path)


def _unexpected(path: str, found: int, wanted: int) -> Diagnostic:
    what = f"is {_KINDS.get(found, 'a special file')}, expected {_KINDS[wanted]}"
    is_link = found == stat.S_IFLNK
    hint = "replace it with a copy: links are not followed" if is_link else "remove it"
    return Diagnostic(file=_shown(path), message=what, hint=hint, code="unsafe_path")


def _up_to(folder: str, path: str) -> Iterator[str]:
    """Yield a path and the folders above it, up to and with `folder`."""
    while path.startswith(folder):
        yield path
        path = path.rpartition("/")[0]
