"""What a checkout remembers, in `.imagematrix`: a lock, what was built, checks, the reports of earlier runs, logs.

It may be deleted at any time; nothing but reasons, estimates and what pages say of earlier nights is lost.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from imagematrix import scratch, tree
from imagematrix.disk import telling
from imagematrix.errors import BusyError
from imagematrix.ledger import Ledger
from imagematrix.model import MATRIX, File, Key
from imagematrix.planning import checks
from imagematrix.planning.checks import Settled
from imagematrix.planning.plan import Record
from imagematrix.planning.trust import Bond, Bonds
from imagematrix.secrecy import hidden
from imagematrix.text import documents, formatting
from imagematrix.text.documents import DamagedError
from imagematrix.tree import Tree

if TYPE_CHECKING:
    from filelock import FileLock

_T = TypeVar("_T")
STATE: Final = ".imagematrix"
"""What a run remembers."""
_MOST_BYTES: Final = 256 * 2**20
"""How much of one file of the state is read: the record of 100,000 nodes takes half of it."""
_RUN_FILE: Final = re.compile(r"[^/]+\.json")
_LOG_FILE: Final = re.compile(r"[^/]+\.log")
_NODE_LOG: Final = re.compile(r"[^/]+-[0-9a-f]{12}\.log")
_RUNS_KEPT: Final = 60
"""Two months of nights."""


class State:
    """The remembered state of a project."""

    def __init__(self, root: Path, *, matrix: str = MATRIX, warn: Callable[[str], None] = lambda _: None) -> None:
        """Take the project's root and the name of its matrix file.

        `warn` hears, once for each file, of damage and of what could not be written.
        """
        self._warn = warn
        self._warned: set[str] = set()
        self._tree = Tree(root)
        self._root = root
        self._home = STATE if matrix == MATRIX else f"{STATE}/{matrix}"
        """What is remembered of this matrix: another one in the folder must not clean it up."""
        self._state = root / self._home
        self._ledger = Ledger(root / STATE, warn=warn)

    def write(self, path: Path, text: str) -> None:
        """Write a picture or a page where the user asked for it."""
        with telling():
            tree.replace(path, File(path=path.name, content=hidden(text).encode()))

    def try_write(self, path: Path, text: str) -> bool:
        """Write a file of a report; return whether the disk took it. What it refuses is a warning, and no more."""
        with self._sparing(str(path)) as spared:
            tree.replace(path, File(path=path.name, content=hidden(text).encode()))
        return not spared

    def keep_logs(self, folder: Path, names: Collection[str]) -> None:
        """Remove the logs of earlier runs from a folder of a report: those of nodes that are not among `names`."""
        with self._sparing(str(folder)):
            for path in folder.glob("*.log"):
                if _NODE_LOG.fullmatch(path.name) and path.name not in names:
                    path.unlink(missing_ok=True)

    @contextmanager
    def sole_builder(self, *, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the project's build lock; call `waiting` once if another build has it."""
        from filelock import FileLock

        with telling():
            self._make_state()
            lock = FileLock(self._root / STATE / "build.lock")  # of all matrices: they share locks
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

        with telling():
            self._make_state()
            lock = FileLock(self._state / "night.lock")
            is_ours = _taken(lock)
        if not is_ours:
            raise BusyError("another nightly run of this project is in progress: this one does nothing")
        try:
            yield
        finally:
            lock.release()

    def night_text(self) -> str:
        """Return the record of the last night, empty when there is none."""
        return self._remembered("night.json")

    def write_night(self, text: str) -> None:
        """Replace the record of the last night."""
        self._write_state("night.json", text)

    @contextmanager
    def log(self, name: str) -> Iterator["Log"]:
        """Give the log that takes the full output of a node, at its end."""
        path = f"{self._home}/logs/{name}"
        made = Log(path, partial(self._opened_log, path), partial(self._sparing, path))
        try:
            yield made
        finally:
            made.close()

    def _opened_log(self, path: str) -> FileIO:
        self._make_state()
        return self._tree.appending(path)

    def remember(self, record: Record) -> None:
        """Append what was just built to the record; a killed run loses at most the last line."""
        self._append("built.jsonl", json.dumps(asdict(record), separators=(",", ":")))

    def bonds(self) -> Bonds:
        """Return which content is known to be which node."""
        return self._ledger.bonds()

    def bind(self, *bonds: Bond) -> None:
        """Record that content is proven to be nodes; on a full disk this run alone knows it."""
        with self._sparing(str(self._ledger.path)):
            self._make_state()
            self._ledger.add(*bonds)

    def history(self) -> list[Record]:
        """Return what was built before, oldest first; damaged lines are skipped and reported."""
        return self._lines("built.jsonl", _record)

    def remember_settled(self, settled: Settled) -> None:
        """Append checks that need not run again."""
        self._append("verified.jsonl", checks.line(settled))

    def settled(self) -> list[Settled]:
        """Return the checks that were settled before, oldest first."""
        return self._lines("verified.jsonl", checks.settled)

    def _lines(self, name: str, read: Callable[[str], _T]) -> list[_T]:
        """Return the lines of a file that can be read; the others are reported once."""
        found, damaged = documents.read_lines(self._remembered(name), read)
        if damaged:
            skipped = f"; skipped {formatting.count(len(damaged), 'damaged line')}"
            self._warn_once(f"{self._home}/{name}:{damaged[0]}", skipped)
        return found

    def _warn_once(self, place: str, what: str) -> None:
        if place not in self._warned:
            self._warned.add(place)
            self._warn(f"{place}{what}")

    @contextmanager
    def _sparing(self, file: str) -> Iterator[list[OSError]]:
        """Write a file that a run can do without: what the disk refuses is reported once for each file, and kept."""
        spared: list[OSError] = []
        try:
            yield spared
        except OSError as error:
            spared.append(error)
            self._warn_once(f"cannot write {file}", f": {error.strerror or error}")

    @contextmanager
    def run_folder(self, *, killed: Callable[[str], None], clean: Callable[[], bool] = lambda: True) -> Iterator[Path]:
        """Give a run a folder of its own until it ends; see `scratch.living` for `killed` and `clean`."""
        with ExitStack() as stack:
            with telling():
                self._make_state()
                self._tree.make_folder(f"{self._home}/verify")
                folder = stack.enter_context(scratch.living(self._state / "verify", killed=killed, clean=clean))
            yield folder

    def runs(self) -> Mapping[str, str]:
        """Return the reports of earlier runs, file name -> text, oldest first."""
        return {name: self._remembered(f"runs/{name}") for name in self._runs()}

    def _runs(self) -> list[str]:
        return [name for name in self._tree.files(f"{self._home}/runs") if _RUN_FILE.fullmatch(name)]

    def logs(self) -> Mapping[str, int]:
        """Return the sizes of the logs in bytes, by file name."""
        names = [name for name in self._tree.files(f"{self._home}/logs") if _LOG_FILE.fullmatch(name)]
        return {name: (self._state / "logs" / name).stat().st_size for name in names}

    def log_text(self, path: str) -> str:
        """Return the log of a node, by its path in a report; nothing if this checkout does not have it."""
        name = path.removeprefix(f"{self._home}/logs/")
        return self._remembered(f"logs/{name}") if name in self.logs() else ""

    def _remembered(self, name: str) -> str:
        """Return the text of a file of the state; nothing if it does not exist."""
        path = f"{self._home}/{name}"
        if not self._tree.is_file(path):
            return ""
        content = self._tree.read(path, most=_MOST_BYTES)
        if len(content) >= _MOST_BYTES:
            self._warn_once(path, f"; only its first {_MOST_BYTES:,} bytes were read: remove it")
        return content.decode(errors="replace")

    def remove_logs(self, names: Collection[str]) -> None:
        """Remove logs."""
        with telling():
            self._tree.delete(f"{self._home}/logs", names)

    def forget(self, is_needed: Callable[[Key], bool]) -> None:
        """Drop what is remembered of nodes that are not needed, and the lines that a killed run left half-written."""
        self._thin_out("built.jsonl", lambda line: is_needed(_record(line).key))
        self._thin_out("verified.jsonl", lambda line: is_needed(checks.settled(line).key))

    def _thin_out(self, name: str, is_needed: Callable[[str], bool]) -> None:
        lines = self._remembered(name).split("\n")
        kept = [line for line in lines if line and _stays(line, is_needed)]
        if len(kept) < len([line for line in lines if line]):
            self._write_state(name, "".join(f"\n{line}" for line in kept))

    def keep_run(self, name: str, text: str) -> None:
        """Keep the report.json of a run, or what became of it since; names sort by time, the oldest runs go."""
        kept = sorted({*self._runs(), f"{name}.json"})
        for old in kept[:-_RUNS_KEPT]:  # first: they may be what fills the disk
            with self._sparing(f"{self._home}/runs/{old}"):
                (self._state / "runs" / old).unlink(missing_ok=True)
        self._write_state(f"runs/{name}.json", text)

    def _write_state(self, name: str, text: str) -> None:
        with self._sparing(f"{self._home}/{name}"):
            self._make_state()
            self._tree.replace(f"{self._home}/{name}", File(path=name, content=hidden(text).encode()))

    def _append(self, name: str, line: str) -> None:
        """Append a line to a file of the state; a killed run loses at most this one."""
        with self._sparing(f"{self._home}/{name}"):
            self._make_state()
            self._tree.append(f"{self._home}/{name}", f"\n{hidden(line)}")  # the line before may be half-written

    def _make_state(self) -> None:
        self._tree.make_folder(f"{self._home}/logs")
        ignore = f"{STATE}/.gitignore"
        if not self._tree.is_file(ignore):
            with self._sparing(ignore):
                self._tree.replace(ignore, File(path=ignore, content=b"*\n"))


class Log:
    """A log that is written as it comes, so that it can be followed. What its disk refuses is lost, not the build."""

    def __init__(
        self, path: str, opened: Callable[[], FileIO], sparing: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self.path = path
        """Relative to the project's root."""
        self._opened = opened
        self._sparing = sparing
        self._stream: FileIO | None = None
        self.write("")

    def write(self, text: str) -> None:
        """Add text; if the disk refuses it, later text is tried again."""
        with self._sparing():
            self._stream = self._stream or self._opened()
            left = hidden(text).encode(errors="replace")
            while left:
                left = left[self._stream.write(left) :]

    def close(self) -> None:
        """Close the file."""
        with self._sparing():
            if self._stream:
                self._stream.close()


def _record(line: str) -> Record:
    return documents.read(line, Record)


def _stays(line: str, is_needed: Callable[[str], bool]) -> bool:
    try:
        return is_needed(line)
    except DamagedError:
        return False


def _taken(lock: "FileLock") -> bool:
    """Take a lock if it is free; return whether it was."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
