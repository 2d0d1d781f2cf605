"""The repository on disk: read once, written atomically, pruned only where a file carries our mark.

The only home of file writes. `.imagematrix/` in the project's root is what a run remembers: a lock, the
record of what was built, the reports of earlier runs, logs. It may be deleted at any time; nothing but reasons,
estimates and what pages say of earlier nights is lost.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from imagematrix.errors import BusyError, FlagError, InputError, Problem, WorkspaceError
from imagematrix.model import File, Key, LayerSource, Sources
from imagematrix.planning import checks, requirements
from imagematrix.planning.checks import Settled
from imagematrix.planning.plan import Record

if TYPE_CHECKING:
    from filelock import FileLock

MANIFEST: Final = ".generated"
"""In each leaf: the paths we wrote there. What it does not list is never deleted."""

_WRITING: Final = ".writing-"
"""How the name of a file begins while it is being written."""

_RUNS_KEPT: Final = 60
"""Two months of nights."""

_TEMPLATE: Final = "Dockerfile.j2"


class Workspace:
    """A project: the folder of its matrix file and all that lies below."""

    def __init__(self, matrix_file: Path) -> None:
        self.matrix_file = matrix_file
        self.root = matrix_file.parent
        self._state = self.root / ".imagematrix"

    def matrix_text(self) -> str:
        """Return the text of the matrix file. Raises FlagError when there is none to read."""
        try:
            return self._text(self.matrix_file, encoding="utf-8-sig")
        except OSError as error:
            raise FlagError(
                f"{self.matrix_file}: {_words(error)}\n    run this in a project's root, or name its matrix with --file"
            ) from None

    def matrix_source(self) -> str:
        """Return the text of the matrix file as it stands on the disk, line ends and byte order mark too."""
        self.matrix_text()  # says what is wrong with it
        return self.matrix_file.read_bytes().decode()

    def replace_matrix(self, old: str, new: str) -> None:
        """Replace the text of the matrix file. Raises FlagError when it is no longer the old one."""
        if self.matrix_source() != old:
            raise FlagError(f"{self.matrix_file.name} has changed meanwhile and stays as it is: run it again")
        path = self.matrix_file.resolve()  # a link stays one
        with _telling():
            self._replace(path, File(path=path.name, content=new.encode(), executable=_is_executable(path)))

    def lock_text(self) -> str:
        """Return the text of matrix.lock, empty when there is none."""
        path = self.root / "matrix.lock"
        return self._text(path) if path.exists() else ""

    def write_lock(self, text: str) -> None:
        """Replace matrix.lock."""
        self.write(self.root / "matrix.lock", text)

    def locks(self) -> Mapping[str, str]:
        """Return the requirement locks, path -> text: those that we wrote."""
        paths = sorted(self.root.glob("locks/*/*.txt"))
        texts = {path.relative_to(self.root).as_posix(): self._text(path) for path in paths}
        return {path: text for path, text in texts.items() if requirements.is_ours(text)}

    def write_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Make the requirement locks these; return the paths touched. What we did not write stays."""
        found = self.locks()
        changed = [path for path, text in locks.items() if found.get(path) != text]
        obsolete = found.keys() - locks.keys()
        with _telling():
            for path in changed:
                self.write(self.root / path, locks[path])
            self._delete(self.root / "locks", {path.removeprefix("locks/") for path in obsolete})
        return tuple(sorted([*changed, *obsolete]))

    def add_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Write requirement locks that are not there yet; return the paths touched."""
        found = self.locks()
        return self.write_locks({**found, **locks})

    def layers(self) -> Mapping[str, bool]:
        """Return the folders of common/layers, and whether each has a template."""
        folder = self.root / "common" / "layers"
        return {path.name: (path / _TEMPLATE).is_file() for path in sorted(folder.glob("*")) if path.is_dir()}

    def check_file(self, layer: str) -> str:
        """Return where a layer keeps its checks, relative to the root."""
        return f"common/layers/{layer}/test_{layer}.py"

    def checks(self) -> Mapping[str, str]:
        """Return the texts of the layers' checks, by layer."""
        paths = {layer: self.root / self.check_file(layer) for layer in self.layers()}
        return {layer: self._text(path) for layer, path in paths.items() if path.is_file()}

    def sources(self) -> Sources:
        """Read all that people wrote under common/."""
        common = self.root / "common"
        script = common / "bootstrap" / "debian.sh"
        return Sources(
            layers={name: self._layer(common / "layers" / name) for name, whole in self.layers().items() if whole},
            init=_read_tree(common / "init", prefix="init/"),
            bootstrap=File(path="bootstrap.sh", content=script.read_bytes(), executable=True)
            if script.exists()
            else None,
        )

    def _layer(self, folder: Path) -> LayerSource:
        template = folder / _TEMPLATE
        return LayerSource(
            name=folder.name,
            template=self._text(template),
            template_path=template.relative_to(self.root).as_posix(),
            files=_read_tree(folder / "files"),
        )

    def _text(self, path: Path, *, encoding: str = "utf-8") -> str:
        try:
            return path.read_text(encoding=encoding)
        except UnicodeDecodeError as error:
            name = path.relative_to(self.root).as_posix()
            raise InputError([Problem(file=name, line=0, what=f"is not UTF-8: {error}")]) from None

    def stale(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> Iterator[str]:
        """Yield each difference between rendered leaves (directory -> files) and the disk, worst first told.

        `keep` are the directories of all rows of the matrix: other generated ones are leftovers.
        """
        for directory, files in leaves.items():
            folder = self.root / directory
            wanted = (*files, _listing(files))
            yield from (f"{directory}/{file.path}{what}" for file in wanted if (what := _difference(folder, file)))
            listed = {file.path for file in wanted}
            extra = (path for path in _paths(folder) if path not in listed)
            yield from (f"{directory}/{path}: is not part of the leaf: remove it" for path in extra)
        yield from (f"{directory}: no row of the matrix makes this leaf" for directory in self._leftovers(keep))

    def write_leaves(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> tuple[str, ...]:
        """Write what differs, delete generated files no longer wanted; return the directories touched.

        Files that are already right keep their mtime; files that are not ours stay.
        """
        with _telling():
            touched = [directory for directory, files in leaves.items() if self._write_leaf(directory, files)]
            for directory in self._leftovers(keep):
                self._delete(self.root / directory, _manifest(self.root / directory) | {MANIFEST})
                touched.append(directory)
            return tuple(touched)

    def write_leaf(self, directory: str, files: Sequence[File]) -> bool:
        """Write one leaf and touch no other; return whether anything was to be done."""
        with _telling():
            return self._write_leaf(directory, files)

    def _write_leaf(self, directory: str, files: Sequence[File]) -> bool:
        folder = self.root / directory
        # The listing comes last: a killed run leaves the old one, which still lists what must go.
        changed = [file for file in (*files, _listing(files)) if _difference(folder, file)]
        obsolete = _manifest(folder) - {file.path for file in files}
        self._delete(folder, obsolete)  # first: a file may have become a folder
        for remains in folder.rglob(f"{_WRITING}*"):  # of a run that was killed
            remains.unlink(missing_ok=True)
        for file in changed:
            self._replace(folder / file.path, file)
        return bool(changed or obsolete)

    def _leftovers(self, keep: Collection[str]) -> list[str]:
        found = (path.parent.relative_to(self.root).as_posix() for path in self.root.glob(f"images/*/*/{MANIFEST}"))
        return sorted(directory for directory in found if directory not in keep)

    def _delete(self, folder: Path, paths: Collection[str]) -> None:
        for path in sorted(paths, reverse=True):
            (folder / path).unlink(missing_ok=True)
        for parent in sorted({folder, *(parent for path in paths for parent in _parents(folder, path))}, reverse=True):
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def _replace(self, path: Path, file: File) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_WRITING)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(file.content)
            Path(temporary).chmod(0o755 if file.executable else 0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def write(self, path: Path, text: str) -> None:
        """Write a report or a picture where the user asked for it."""
        with _telling():
            self._replace(path, File(path=path.name, content=text.encode()))

    @contextmanager
    def sole_builder(self, *, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the project's build lock; call `waiting` once if another build has it."""
        from filelock import FileLock

        with _telling():
            self._make_state()
            lock = FileLock(self._state / "build.lock")
            is_ours = _taken(lock)
        if not is_ours:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def sole_night(self) -> Iterator[None]:
        """Hold the project's night. Raises BusyError when another process has it."""
        from filelock import FileLock

        with _telling():
            self._make_state()
            lock = FileLock(self._state / "night.lock")
            is_ours = _taken(lock)
        if not is_ours:
            raise BusyError("another night of this project is running: nights do not overlap, this one does nothing")
        try:
            yield
        finally:
            lock.release()

    def night_text(self) -> str:
        """Return the record of the last night, empty when there is none."""
        path = self._state / "night.json"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def write_night(self, text: str) -> None:
        """Replace the record of the last night."""
        self.write(self._state / "night.json", text)

    def log_path(self, name: str) -> Path:
        """Return where the full output of a node goes; the folder exists afterwards."""
        with _telling():
            self._make_state()
        return self._state / "logs" / name

    def remember(self, record: Record) -> None:
        """Append what was just built to the record; a killed run loses at most the last line."""
        line = json.dumps(asdict(record), separators=(",", ":"))
        with _telling(), (self._state / "built.jsonl").open("a", encoding="utf-8") as stream:
            stream.write("\n" + line)  # not after it: the line before may be half-written

    def history(self) -> list[Record]:
        """Return what was built before, oldest first; lines that a killed run left half-written are passed over."""
        path = self._state / "built.jsonl"
        if not path.exists():
            return []
        with path.open(encoding="utf-8", errors="replace") as stream:
            return [record for line in stream if (record := _record(line))]

    def remember_settled(self, settled: Settled) -> None:
        """Append checks that need not run again."""
        with _telling():
            self._make_state()
            with (self._state / "verified.jsonl").open("a", encoding="utf-8") as stream:
                stream.write("\n" + checks.line(settled))

    def settled(self) -> list[Settled]:
        """Return the checks that were settled before, oldest first."""
        path = self._state / "verified.jsonl"
        if not path.exists():
            return []
        with path.open(encoding="utf-8", errors="replace") as stream:
            return [found for line in stream if (found := checks.settled(line))]

    @contextmanager
    def run_folder(self, *, killed: Callable[[str], None]) -> Iterator[Path]:
        """Give a run a folder of its own until it ends; `killed` hears the names of those whose runs died with them."""
        from filelock import FileLock

        parent = self._state / "verify"
        with _telling():
            self._make_state()
            parent.mkdir(exist_ok=True)
        for left in sorted(parent.glob("*.lock")):
            if _taken(lock := FileLock(left)):
                killed(left.stem)
                _remove_run(left)
                lock.release()
        with _telling():
            folder = Path(tempfile.mkdtemp(dir=parent))
        own = folder.with_suffix(".lock")
        with FileLock(own):
            try:
                yield folder
            finally:
                _remove_run(own)

    def runs(self) -> Mapping[str, str]:
        """Return the reports of earlier runs, file name -> text, oldest first."""
        return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in self._runs()}

    def _runs(self) -> list[Path]:
        return sorted((self._state / "runs").glob("*.json"))

    def logs(self) -> Mapping[str, int]:
        """Return the sizes of the logs in bytes, by file name."""
        return {path.name: path.stat().st_size for path in (self._state / "logs").glob("*.log")}

    def remove_logs(self, names: Collection[str]) -> None:
        """Remove logs."""
        with _telling():
            for name in names:
                (self._state / "logs" / name).unlink(missing_ok=True)

    def forget(self, is_needed: Callable[[Key], bool]) -> None:
        """Drop what is remembered of nodes that are not needed, and the lines that a killed run left half-written."""
        self._thin_out("built.jsonl", lambda line: (found := _record(line)) is not None and is_needed(found.key))
        self._thin_out(
            "verified.jsonl", lambda line: (found := checks.settled(line)) is not None and is_needed(found.key)
        )

    def _thin_out(self, name: str, stays: Callable[[str], bool]) -> None:
        path = self._state / name
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if stays(line)]
        if len(kept) < len([line for line in lines if line]):
            self.write(path, "".join(f"\n{line}" for line in kept))

    def keep_run(self, name: str, text: str) -> None:
        """Keep the report.json of a run, or what became of it since; names sort by time, the oldest runs go."""
        with _telling():
            self._make_state()
            self.write(self._state / "runs" / f"{name}.json", text)
            for old in self._runs()[:-_RUNS_KEPT]:
                old.unlink(missing_ok=True)

    def _make_state(self) -> None:
        (self._state / "logs").mkdir(parents=True, exist_ok=True)
        ignore = self._state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def _record(line: str) -> Record | None:
    try:
        values = json.loads(line)
        return Record(
            key=Key(values["key"]),
            layer=values["layer"],
            inputs=dict(values["inputs"]),
            rows=tuple(values["rows"]),
            seconds=values["seconds"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_tree(folder: Path, prefix: str = "") -> tuple[File, ...]:
    return tuple(
        File(
            path=prefix + path,
            content=(folder / path).read_bytes(),
            executable=_is_executable(folder / path),
        )
        for path in _paths(folder)
    )


def _paths(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted; without editors' and Python's droppings."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(("~", ".swp", ".pyc"))
    )


def _parents(folder: Path, path: str) -> Iterator[Path]:
    yield from (folder / parent for parent in Path(path).parents if parent != Path())


def _is_executable(path: Path) -> bool:
    """Whether its owner may execute it: the one bit that git keeps, so the same on every machine."""
    return bool(path.stat().st_mode & 0o100)


def _listing(files: Sequence[File]) -> File:
    return File(path=MANIFEST, content="".join(f"{file.path}\n" for file in files).encode())


def _manifest(folder: Path) -> set[str]:
    """Return what a leaf's listing names, but nothing outside the leaf: the listing may come from anywhere."""
    path = folder / MANIFEST
    listed = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ()
    return {name for name in listed if name and not PurePosixPath(name).is_absolute() and ".." not in name.split("/")}


def _remove_run(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)


def _taken(lock: "FileLock") -> bool:
    """Take a lock if it is free; return whether it was."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _difference(folder: Path, file: File) -> str:
    """Return how a file on disk differs from the rendered one, empty when it does not."""
    path = folder / file.path
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):  # also: a file where there was a folder
        return ": is missing"
    if content != file.content:
        return _first_difference(content, file.content)
    if _is_executable(path) != file.executable:
        return f": should {'' if file.executable else 'not '}be executable"
    return ""


def _first_difference(found: bytes, wanted: bytes) -> str:
    old, new = found.decode(errors="replace").split("\n"), wanted.decode(errors="replace").split("\n")
    line = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    has = repr(old[line]) if line < len(old) else "nothing"
    wants = repr(new[line]) if line < len(new) else "nothing"
    return f":{line + 1}: has {has}, should have {wants}"


@contextmanager
def _telling() -> Iterator[None]:
    """Turn what the disk refuses into an error a person can act on."""
    try:
        yield
    except OSError as error:
        raise WorkspaceError(f"cannot write {error.filename or 'a file'}: {_words(error)}") from error


def _words(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC:
            return "the disk is full. Free some space (`docker system df` shows what images use) and run it again"
        case errno.EROFS:
            return "the file system is read-only"
        case errno.EACCES | errno.EPERM:
            return "permission denied"
        case errno.ENOENT:
            return "no such file"
        case _:
            return error.strerror or str(error)
